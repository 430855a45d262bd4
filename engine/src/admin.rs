use std::sync::Arc;
pub struct State {
    pub edge: Arc<crate::request::Edge>,
    pub host: Arc<crate::policy::Host>,
    pub warmer: Arc<crate::warm::Warmer>,
    pub stage: tokio::sync::watch::Receiver<crate::server::Stage>,
}
pub fn start(_: State, _: &crate::config::Admin, _: std::net::TcpListener) -> std::io::Result<std::thread::JoinHandle<()>> {
    Ok(std::thread::spawn(|| ()))
}
