//! What all policies share, and where they are loaded.

use std::sync::Arc;

use crate::decisions::{DecisionCounters, Decisions};
use crate::error::PolicyError;
use crate::module::load::{Inspection, ModuleLoader};
use crate::policy::Policy;
use crate::runtime::Runtime;
use tero_config as config;

/// What all policies share: the engine, the compiled modules, the remembered decisions.
#[derive(Debug)]
pub struct Host {
    loader: ModuleLoader,
    decisions: Arc<Decisions>,
    shadow_decisions: Arc<Decisions>,
}

/// Memory for what shadows said, in bytes.
const SHADOW_DECISIONS_BYTES: u64 = 4 << 20;

impl Host {
    /// A host without policies.
    ///
    /// # Errors
    /// [`PolicyError::Engine`] when WebAssembly can't run here.
    pub fn new(config: &config::PolicyHost) -> Result<Arc<Host>, PolicyError> {
        Ok(Host::on(Runtime::new(config.stack)?, config))
    }

    /// A host that counts what guests do, for [`Trial`](crate::Trial). It is slower, and compiles modules of its
    /// own.
    ///
    /// # Errors
    /// [`PolicyError::Engine`] when WebAssembly can't run here.
    pub fn counting(config: &config::PolicyHost) -> Result<Arc<Host>, PolicyError> {
        Ok(Host::on(Runtime::counting(config.stack)?, config))
    }

    fn on(runtime: Runtime, config: &config::PolicyHost) -> Arc<Host> {
        Arc::new(Host {
            loader: ModuleLoader::new(runtime, config),
            decisions: Arc::new(Decisions::new(config.decision_cache)),
            shadow_decisions: Arc::new(Decisions::new(SHADOW_DECISIONS_BYTES)),
        })
    }

    /// Reads, compiles (or takes from disk), configures and checks a policy. Takes milliseconds to
    /// seconds: not for a thread that serves requests.
    ///
    /// # Errors
    /// When the module, its settings, its manifest or its calendar can't be used; the message says
    /// which and why.
    pub fn load(&self, config: &config::Policy) -> Result<Arc<Policy>, PolicyError> {
        self.loader.load(config).map(Arc::new)
    }

    /// As [`Host::load`], with these bytes in the place of the module that the configuration names:
    /// a module, or a [`Package`](crate::Package).
    ///
    /// # Errors
    /// As [`Host::load`].
    pub fn load_module(
        &self,
        config: &config::Policy,
        module: &[u8],
    ) -> Result<Arc<Policy>, PolicyError> {
        self.loader.load_module(config, module).map(Arc::new)
    }

    /// Looks at a module, configured as `config` says, and tells what can be told of it.
    ///
    /// # Errors
    /// When it can't be read. What else is wrong with it is part of what is told.
    pub fn inspect(&self, config: &config::Policy) -> Result<Inspection, PolicyError> {
        self.loader.inspect(config)
    }

    /// How the cache of decisions does.
    pub fn decisions(&self) -> DecisionCounters {
        self.decisions.counters()
    }

    /// The largest module that is loaded, in bytes.
    pub fn max_module(&self) -> u64 {
        self.loader.max_module()
    }

    pub(crate) fn shadow_decisions(&self) -> &Arc<Decisions> {
        &self.shadow_decisions
    }

    pub(crate) fn decision_cache(&self) -> &Arc<Decisions> {
        &self.decisions
    }
}
