//! The host: what all policies share, and where they are loaded.

use std::sync::Arc;

use crate::decisions::{DecisionCounters, Decisions};
use crate::error::PolicyError;
use crate::module::compiler::Compiler;
use crate::module::load::{Inspection, ModuleLoader};
use crate::policy::Policy;
use crate::runtime::Runtime;
use crate::tables::TableSet;
use crate::trust::TrustedKeys;
use tero_config as config;

/// What all policies share: the WebAssembly engine, the compiled modules and the remembered
/// decisions.
#[derive(Debug)]
pub struct Host {
    loader: ModuleLoader,
    decisions: Arc<Decisions>,
    shadow_decisions: Arc<Decisions>,
    tables: Arc<TableSet>,
}

/// Memory for the decisions of shadows, in bytes.
const SHADOW_DECISIONS_BYTES: u64 = 4 << 20;

impl Host {
    /// A host without policies that compiles in this process, without limits.
    ///
    /// # Errors
    /// [`PolicyError::Engine`] if WebAssembly cannot run on this machine.
    pub fn new(config: &config::PolicyHost) -> Result<Arc<Host>, PolicyError> {
        Host::with_compiler(config, &Compiler::InProcess)
    }

    /// A host without policies that compiles as `compiler` says.
    ///
    /// # Errors
    /// As [`Host::new`].
    pub fn with_compiler(
        config: &config::PolicyHost,
        compiler: &Compiler,
    ) -> Result<Arc<Host>, PolicyError> {
        Ok(Host::on(Runtime::new(config.stack)?, config, compiler))
    }

    /// A host that counts the instructions of guests, for [`Trial`](crate::Trial), and compiles as
    /// `compiler` says. It is slower, and its compiled modules are not those of [`Host::new`].
    ///
    /// # Errors
    /// [`PolicyError::Engine`] if WebAssembly cannot run on this machine.
    pub fn counting(
        config: &config::PolicyHost,
        compiler: &Compiler,
    ) -> Result<Arc<Host>, PolicyError> {
        Ok(Host::on(Runtime::counting(config.stack)?, config, compiler))
    }

    fn on(runtime: Runtime, config: &config::PolicyHost, compiler: &Compiler) -> Arc<Host> {
        let tables = Arc::default();
        Arc::new(Host {
            loader: ModuleLoader::new(runtime, &tables, config, compiler.clone()),
            decisions: Arc::new(Decisions::new(config.decision_cache)),
            shadow_decisions: Arc::new(Decisions::new(SHADOW_DECISIONS_BYTES)),
            tables,
        })
    }

    /// Reads, compiles (or takes from disk), configures and checks a policy. This takes
    /// milliseconds to seconds, so never call it on a thread that serves requests.
    ///
    /// # Errors
    /// The module, its settings, its manifest or its calendar cannot be used. The message says
    /// which one and why.
    pub fn load(&self, config: &config::Policy) -> Result<Arc<Policy>, PolicyError> {
        self.loader.load(config).map(Arc::new)
    }

    /// Like [`Host::load`], with `module` in place of the module that the configuration names.
    /// `module` is a module or a [`Package`](crate::Package).
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

    /// Inspects a module, configured as `config` says.
    ///
    /// # Errors
    /// The module cannot be read. Every other defect is part of the [`Inspection`].
    pub fn inspect(&self, config: &config::Policy) -> Result<Inspection, PolicyError> {
        self.loader.inspect(config)
    }

    /// The counters of the decision cache.
    pub fn decisions(&self) -> DecisionCounters {
        self.decisions.counters()
    }

    /// The size of the largest module that is loaded, in bytes.
    pub fn max_module(&self) -> u64 {
        self.loader.max_module()
    }

    /// The keys whose signatures are trusted.
    pub fn trust(&self) -> &TrustedKeys {
        self.loader.trust()
    }

    /// The data tables of all policies.
    pub fn tables(&self) -> &Arc<TableSet> {
        &self.tables
    }

    pub(crate) fn shadow_decisions(&self) -> &Arc<Decisions> {
        &self.shadow_decisions
    }

    pub(crate) fn decision_cache(&self) -> &Arc<Decisions> {
        &self.decisions
    }
}
