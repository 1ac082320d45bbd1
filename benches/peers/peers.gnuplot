# Reads peers.dat in the current folder, which plot.rs wrote, and writes peers.svg beside it.

set terminal svg size 1100,480 font "sans-serif,13" background "white"
set output "peers.svg"
set datafile missing "?"

set style data histogram
set style histogram errorbars gap 1 linewidth 1
set style fill solid 0.85 noborder
set bars 0.4
set logscale y
set yrange [0.25:*]
set ylabel "truehit / peer, requests per CPU-second"
set xtics rotate by -30 nomirror
set ytics nomirror (0.5, 1, 2, 5, 10, 20, 50, 100, 200)
set grid ytics linecolor "#dddddd"
set border 3
set key top left horizontal

plot "peers.dat" using 2:3:4:xtic(1) title "nginx" linecolor "#2f7d4f", \
     "" using 5:6:7 title "HAProxy" linecolor "#3a6ea5", \
     "" using 8:9:10 title "Varnish" linecolor "#b5652b", \
     1 with lines linecolor "black" linewidth 1.5 notitle
