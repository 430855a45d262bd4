//! What `tero demo` prints: where things are, and what to try in which order.

use super::{DemoAddresses, reachable};
use tero_semantics::timestamp::Timestamp;
use tero_time::zones;

const ZONE: chrono_tz::Tz = chrono_tz::America::Argentina::Buenos_Aires;
pub(super) const PHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 Version/17.6 Mobile/15E148 Safari/604.1";
/// The fields of an answer that tell what happened.
const FIELDS: &str = "grep -iE '^(HTTP|age|cache-status|cache-control|x-origin)'";

/// The whole text.
pub(super) fn text(places: &DemoAddresses, now: Timestamp, traffic: bool) -> String {
    let site = format!("http://{}", reachable(places.edge));
    let (admin, origin) = (
        format!("http://{}", places.admin),
        format!("http://{}", places.origin),
    );
    let tero = std::env::args().next().unwrap_or_else(|| "tero".to_owned());
    let remote = if places.admin.port() == 9090 {
        String::new()
    } else {
        format!(" --admin {admin}")
    };
    let clock = zones::local(now, ZONE).format("%A, %H:%M");
    let look = format!("curl -s -o /dev/null -D - {site}");
    let visitors = if traffic {
        "\n  the visitors   are on their way, and may have been there before you: what should be a first fetch may be a hit"
    } else {
        ""
    };
    format!(
        r#"
BarberPro, a booking site for barbers in Argentina, with tero in front of it

  the site       {site}/   (open it in a browser, too)
  the dashboard  {admin}/   (open it beside the site; the pages link it at their end)
  the admin      {admin}/stats   (also /metrics, /health, /ready)
  the origin     {origin}/   what tero guards; X-Origin-Requests counts what it was asked
  the rules      cdn-argentina-policies.json, imported, decided by the WebAssembly policy builtin:json-rules
  the clock      {clock} in Buenos Aires; pages last 2 minutes from Monday to Saturday, 9 to 18, and 30 otherwise{visitors}

Try in another terminal, from top to bottom:

 1. A page: the first request is fetched, the second is a hit. Cache-Status names the rule that decided.
      {look}/barberias/palermo | {FIELDS}
      {look}/barberias/palermo | {FIELDS}

 2. The same page for a phone is another variant: a first fetch again, and another layout.
      curl -s {site}/barberias/palermo | grep -o 'versión para [a-z]*'
      curl -s -A '{PHONE}' {site}/barberias/palermo | grep -o 'versión para [a-z]*'

 3. Campaign parameters don't count: a hit.
      {look}'/barberias/palermo?utm_source=instagram&gclid=1' | {FIELDS}

 4. The availability API takes 0.4 seconds, and says nothing about caching. The rules keep it for seconds, so:
      curl -s -o /dev/null -w '%{{time_total}} s\n' {site}/api/v1/disponibilidad/palermo
      curl -s -o /dev/null -w '%{{time_total}} s\n' {site}/api/v1/disponibilidad/palermo

 5. Fifty visitors at once for what is not there yet: one request reaches the origin.
      seq 50 | xargs -P 50 -I N curl -s -o /dev/null {site}/api/v1/disponibilidad/recoleta
      curl -s {origin}/_demo/requests | grep recoleta

 6. Payments are never stored, although the application says "public, max-age=3600": another number each time.
      curl -s -X POST {site}/api/v1/pagos/crear
      curl -s -X POST {site}/api/v1/pagos/crear
      {look}/checkout/palermo | {FIELDS}

 7. Purge all pages by their tag; the next request is fetched anew.
      curl -s {admin}/purge -d '{{"tag": "paginas"}}'
      {look}/barberias/palermo | {FIELDS}

 8. Warm the pages before the doors open, for desktops and phones; then the first request for a page is a hit.
      {tero} warm apertura --wait{remote}
      {look}/barberias/rosario | {FIELDS}

 9. Break the origin and mark all pages stale: the site stays up. A payment, of course, fails.
      curl -s -X POST {origin}/_demo/fail
      curl -s {admin}/purge -d '{{"tag": "paginas", "soft": true}}'
      {look}/barberias/palermo | {FIELDS}
      curl -s -i -X POST {site}/api/v1/pagos/crear | {FIELDS}
      curl -s -X POST {origin}/_demo/recover

10. Hit rates by site, variant and local hour.{hint}
      {tero} stats{remote}

Ctrl-C stops everything.
"#,
        hint = if traffic {
            ""
        } else {
            " (`tero demo --traffic` brings visitors.)"
        },
    )
}
