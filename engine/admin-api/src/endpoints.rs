//! Every request of the interface.

use http::{Method, StatusCode};

use crate::{
    ActivateRequest, ActivateResponse, CanaryResponse, CancelWarmResponse, CertificatesResponse,
    ClusterResponse, DisksResponse, EndMaintenanceResponse, Endpoint, EndpointInfo, EventsResponse,
    ExchangeRequest, ExchangeResponse, ExplainRequest, ExplainResponse, LiveQuestion, LiveStream,
    LookUpRequest, LookUpResponse, MaintenanceResponse, MetricsText, OpenApiText, OriginReport,
    OriginRequest, OriginsResponse, PoliciesResponse, PolicyModule, PolicyReport, ProbeResponse,
    PurgeRequest, PurgeResponse, PushResponse, PushTableRequest, PushTableResponse, ReadyRequest,
    ReloadResponse, RemovePolicyResponse, RemoveTableResponse, RollBackTableRequest,
    RollBackTableResponse, RollbackResponse, ShadowReport, StartCanaryRequest, StartCanaryResponse,
    StartMaintenanceRequest, StartMaintenanceResponse, StartShadowRequest, StartShadowResponse,
    StartWarmRequest, StartWarmResponse, StatsRequest, StatsResponse, TableReport, TablesResponse,
    TrialEndResponse, UpgradeResponse, WarmPlansResponse, WarmRunReport, WarmRunsResponse,
    WeekResponse,
};

/// Declares endpoints: `Name = "name": METHOD "/path", Request => STATUS Response`, then the
/// statuses of refusals, then whether it is open. Behind the response may stand another status, and the
/// question that tells its answers. The comment says what it does, in the first
/// paragraph by a few words: it stands in the OpenAPI document.
macro_rules! endpoints {
    ($(
        $(#[doc = $doc:literal])+
        $name:ident = $id:literal: $method:ident $path:literal, $request:ty => $status:ident $response:ty $(| $other:ident if $is_other:path)?, [$($refusal:literal),*], $open:literal;
    )+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Debug)]
            pub enum $name {}

            impl Endpoint for $name {
                const NAME: &'static str = $id;
                const METHOD: Method = Method::$method;
                const PATH: &'static str = $path;
                const STATUS: StatusCode = StatusCode::$status;
                const IS_OPEN: bool = $open;
                const REFUSALS: &'static [u16] = &[$($refusal),*];
                const DOC: &'static [&'static str] = &[$($doc),+];
                $(
                    const OTHER_STATUS: Option<StatusCode> = Some(StatusCode::$other);

                    fn status_of(response: &$response) -> StatusCode {
                        match $is_other(response) {
                            true => StatusCode::$other,
                            false => StatusCode::$status,
                        }
                    }
                )?
                type Request = $request;
                type Response = $response;
            }
        )+

        /// All of them.
        pub static ALL: &[EndpointInfo] = &[$(EndpointInfo::of::<$name>()),+];

        /// Describes each of them by the `describe` of a document.
        #[cfg(feature = "schema")]
        macro_rules! describe_each {
            ($document:ident) => {
                $($document.describe::<crate::endpoints::$name>();)+
            };
        }
    };
}

endpoints! {
    /// Says that the process works.
    Health = "health": GET "/health", () => OK ProbeResponse, [], true;

    /// Says that the edge serves; not while it drains.
    ///
    /// With `plan`, a run of that warming plan must have ended, too. `admin.ready_after` of the
    /// configuration demands plans for every probe.
    Ready = "ready": GET "/ready", ReadyRequest => OK ProbeResponse, [400, 404, 503], true;

    /// Gives the metrics, for Prometheus.
    Metrics = "metrics": GET "/metrics", () => OK MetricsText, [], false;

    /// Gives hit rates by site, variant and local hour.
    ///
    /// With `fleet=true` they are the sums over the nodes of the fleet.
    Stats = "stats": GET "/stats", StatsRequest => OK StatsResponse, [400, 404, 503], false;

    /// Gives hit rates and latencies of the last seven days by site, variant and local hour.
    Week = "week": GET "/stats/week", () => OK WeekResponse, [], false;

    /// Tells figures once a second, and requests while they are answered.
    ///
    /// The answer is JSON in lines and has no end; 16 listeners are possible at a time. Requests are
    /// told as they come, up to the number per second that the question allows.
    Live = "live": GET "/live", LiveQuestion => OK LiveStream, [400, 503], false;

    /// Lists events that operators must know of.
    ///
    /// Each is a line of the log, and a message to the webhooks of the configuration. Events that are
    /// over stay in the list.
    Events = "events": GET "/events", () => OK EventsResponse, [], false;

    /// Lists the origins, and how they do.
    Origins = "origins": GET "/origins", () => OK OriginsResponse, [], false;

    /// Takes an origin out.
    ///
    /// No further requests go to it, and those under way end in order. It stays so until it is put
    /// back or the edge starts again. If all origins of a site are taken out, they are asked all the
    /// same.
    DrainOrigin = "drain_origin": POST "/origins/drain", OriginRequest => OK OriginReport, [404], false;

    /// Puts an origin back.
    ResumeOrigin = "resume_origin": POST "/origins/resume", OriginRequest => OK OriginReport, [404], false;

    /// Lists the nodes of the fleet, and what each of them has.
    ///
    /// Each node tells the others every two seconds how it does; one that was not heard of for ten
    /// seconds is marked silent. 404 without `[cluster]`.
    Cluster = "cluster": GET "/cluster", () => OK ClusterResponse, [404], false;

    /// Gives the certificates in force, and what became of orders by ACME.
    Certificates = "certificates": GET "/certificates", () => OK CertificatesResponse, [], false;

    /// Gives the disks of the cache, what is on them and what they did.
    Disks = "disks": GET "/disks", () => OK DisksResponse, [], false;

    /// Drops stored responses, or marks them stale.
    ///
    /// A node of a fleet has all other nodes do it as well. The status is 202 if the purge was carried
    /// out here and is not in the log of the fleet yet: the node goes on trying.
    Purge = "purge": POST "/purge", PurgeRequest => OK PurgeResponse | ACCEPTED if PurgeResponse::is_pending, [404, 503], false;

    /// Takes purges of another node of the fleet, and compares what both know.
    ExchangePurges = "exchange_purges": POST "/cluster/purges", ExchangeRequest => OK ExchangeResponse, [404, 409], false;

    /// Lists the sites that are being worked on.
    Maintenance = "maintenance": GET "/maintenance", () => OK MaintenanceResponse, [], false;

    /// Begins the maintenance of a site, or changes how the site is meanwhile.
    ///
    /// Visitors get 503 with `Retry-After`, or what is stored. With `state_dir`, a restart goes on
    /// with it.
    StartMaintenance = "start_maintenance": POST "/maintenance/{site}", StartMaintenanceRequest => OK StartMaintenanceResponse, [404], false;

    /// Ends the maintenance of a site.
    EndMaintenance = "end_maintenance": DELETE "/maintenance/{site}", () => OK EndMaintenanceResponse, [404], false;

    /// Tells what would happen to a request, and why.
    ///
    /// Nothing is fetched, stored, counted or remembered. Policies are asked about the given
    /// response, else the stored one, else a 200 without fields.
    Explain = "explain": POST "/explain", ExplainRequest => OK ExplainResponse, [404], false;

    /// Reads the configuration's file again.
    ///
    /// As SIGHUP does: sites, policies and plans. Pushed versions stay active. On a mistake the
    /// old configuration stays, and the answer lists every mistake.
    Reload = "reload": POST "/reload", () => OK ReloadResponse, [409, 422], false;

    /// Starts the program again, and leaves serving to that process once it is ready.
    ///
    /// No request is lost. If the new process can't serve, this one serves on, and the answer says
    /// why. What is stored, and counters, begin anew.
    Upgrade = "upgrade": POST "/upgrade", () => OK UpgradeResponse, [409, 503], false;

    /// Lists the policies, the version that decides, and the results of their decisions.
    Policies = "policies": GET "/policies", () => OK PoliciesResponse, [], false;

    /// Describes a policy, with its versions.
    Policy = "policy": GET "/policies/{policy}", () => OK PolicyReport, [404], false;

    /// Pushes a version: checks it and keeps it.
    ///
    /// The content is a WebAssembly module. Settings and test cases may come along as the custom
    /// sections `tero:settings` (JSON) and `tero:cases` (TOML). It is compiled, configured and
    /// tested with its cases before it is kept. It decides nothing until it is activated. With
    /// `site`, a policy that the configuration doesn't have is put on that site, and decides at once.
    PushVersion = "push_version": POST "/policies/{policy}/versions", PolicyModule => CREATED PushResponse, [404, 409, 422, 503], false;

    /// Takes a policy that was added by a push off its sites, and forgets it with its versions.
    RemovePolicy = "remove_policy": DELETE "/policies/{policy}", () => OK RemovePolicyResponse, [404, 409], false;

    /// Makes a version decide from now on.
    ///
    /// Remembered decisions of the old version are dropped, and nothing else.
    Activate = "activate": POST "/policies/{policy}/activate", ActivateRequest => OK ActivateResponse, [404, 409, 422], false;

    /// Ends the canary; without one, makes the version before decide again.
    Rollback = "rollback": POST "/policies/{policy}/rollback", () => OK RollbackResponse, [404, 409], false;

    /// Tells where the version in shadow differs.
    Shadow = "shadow": GET "/policies/{policy}/shadow", () => OK ShadowReport, [404], false;

    /// Starts shadowing: the version is asked about a sample of answered requests.
    ///
    /// Its decisions are compared with those of the active version, and not used.
    StartShadow = "start_shadow": POST "/policies/{policy}/shadow", StartShadowRequest => OK StartShadowResponse, [404, 409, 422], false;

    /// Ends the shadow.
    StopShadow = "stop_shadow": POST "/policies/{policy}/shadow/stop", () => OK TrialEndResponse, [404], false;

    /// Compares the canary with the control, or tells why its guard rolled it back.
    Canary = "canary": GET "/policies/{policy}/canary", () => OK CanaryResponse, [404], false;

    /// Starts a canary: the version answers for a share of the keys.
    StartCanary = "start_canary": POST "/policies/{policy}/canary", StartCanaryRequest => OK StartCanaryResponse, [404, 409, 422], false;

    /// Ends the canary.
    StopCanary = "stop_canary": POST "/policies/{policy}/canary/stop", () => OK TrialEndResponse, [404], false;

    /// Lists the data tables, the version that decides, and the policies that read them.
    Tables = "tables": GET "/data", () => OK TablesResponse, [], false;

    /// Describes a data table, with its versions.
    Table = "table": GET "/data/{table}", () => OK TableReport, [404], false;

    /// Pushes a data table: checks it, keeps it, and has it decide at once.
    ///
    /// The content is CSV or JSON. It takes the place of the configuration's table of that name, and
    /// of versions pushed before. Decisions that depend on the table are made anew, and no others.
    PushTable = "push_table": POST "/data/{table}/versions", PushTableRequest => CREATED PushTableResponse, [409, 422, 503], false;

    /// Looks something up in a data table, as policies do.
    LookUp = "look_up": POST "/data/{table}/look-up", LookUpRequest => OK LookUpResponse, [404], false;

    /// Has an earlier version of a data table decide again.
    RollBackTable = "roll_back_table": POST "/data/{table}/rollback", RollBackTableRequest => OK RollBackTableResponse, [404, 409], false;

    /// Forgets the pushed versions of a data table.
    ///
    /// The configuration's table decides again. Without one the table is gone; that is refused while
    /// a policy of a site reads it.
    RemoveTable = "remove_table": DELETE "/data/{table}", () => OK RemoveTableResponse, [404, 409], false;

    /// Lists the warming plans, and when they are due.
    WarmPlans = "warm_plans": GET "/warm", () => OK WarmPlansResponse, [], false;

    /// Lists the latest runs of all plans, the latest first.
    WarmRuns = "warm_runs": GET "/warm/runs", () => OK WarmRunsResponse, [], false;

    /// Reports on a run: how far it is, or what it did.
    WarmRun = "warm_run": GET "/warm/runs/{id}", () => OK WarmRunReport, [404], false;

    /// Starts a warming plan, or finds out what it would fetch.
    ///
    /// The run goes on after the answer.
    StartWarm = "start_warm": POST "/warm/{plan}", StartWarmRequest => ACCEPTED StartWarmResponse, [400, 404, 409, 503], false;

    /// Ends the run of a warming plan early.
    DeleteWarm = "delete_warm": DELETE "/warm/{plan}", () => OK CancelWarmResponse, [404, 409], false;

    /// Ends the run of a warming plan early.
    CancelWarm = "cancel_warm": POST "/warm/{plan}/cancel", () => OK CancelWarmResponse, [404, 409], false;

    /// Gives this document.
    OpenApi = "openapi": GET "/openapi.json", () => OK OpenApiText, [], false;
}

#[cfg(feature = "schema")]
pub(crate) use describe_each;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_have_the_same_name_or_the_same_method_and_path() {
        let names: BTreeSet<_> = ALL.iter().map(|endpoint| endpoint.name).collect();
        let routes: BTreeSet<_> = ALL
            .iter()
            .map(|endpoint| (endpoint.method.as_str(), endpoint.path))
            .collect();
        assert_eq!((names.len(), routes.len()), (ALL.len(), ALL.len()));
    }
}
