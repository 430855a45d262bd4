vcl 4.1;

backend origin {
    .host = "127.0.0.1";
    .port = "@ORIGIN@";
}

sub vcl_deliver {
    set resp.http.X-Cache-Hits = obj.hits;
}
