# Varnish as a cache in front of one origin. The harness fills in what stands between @s.
#
# What is not said here is as Varnish brings it (builtin.vcl). The command line is in varnish.args.

vcl 4.1;

backend origin {
    .host = "127.0.0.1";
    .port = "@ORIGIN_PORT@";
}

sub vcl_recv {
    @RECV@
}

sub vcl_backend_response {
    # Each hit is checked with the origin: an object is stale at once, is never served stale, and stays to be asked about.
    # Without `return`, builtin.vcl would take what has no lifetime for something that is not stored.
    if (beresp.http.Cache-Control ~ "must-revalidate") {
        set beresp.ttl = 0s;
        set beresp.grace = 0s;
        set beresp.keep = 1h;
        return (deliver);
    }
}
