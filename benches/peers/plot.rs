//! The picture: truehit's ratio to each peer in each row, drawn by gnuplot.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use crate::contest::Row;
use crate::process::source;

/// The peers that have bars.
const PEERS: [&str; 3] = ["nginx", "haproxy", "varnish"];

/// Writes `peers.svg`; `false` if there is nothing to draw, or no gnuplot.
pub fn draw(folder: &Path, rows: &[Row]) -> bool {
    let data = data(rows);
    if data.is_empty() {
        return false;
    }
    std::fs::write(folder.join("peers.dat"), data).expect("the data can be written");
    let drawn = Command::new("gnuplot").current_dir(folder).arg(source("peers.gnuplot")).output();
    match drawn {
        Ok(output) if output.status.success() => true,
        Ok(output) => {
            eprintln!("gnuplot: {}", String::from_utf8_lossy(&output.stderr));
            false
        }
        Err(error) => {
            eprintln!("no picture: gnuplot: {error}");
            false
        }
    }
}

/// A line for each row: its id, and for each peer the median, the lowest and the highest ratio, or `?` three times.
fn data(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        let Some((base, peers)) = row.compared() else { continue };
        let ratios = PEERS.map(|name| peers.iter().find(|peer| peer.name == name).and_then(|peer| base.ratio_to(peer)));
        if ratios.iter().all(Option::is_none) {
            continue;
        }
        let _ = write!(text, "{}", row.id);
        for ratio in ratios {
            let _ = match ratio {
                Some(ratio) => write!(text, " {:.3} {:.3} {:.3}", ratio.median, ratio.min, ratio.max),
                None => write!(text, " ? ? ?"),
            };
        }
        text.push('\n');
    }
    text
}
