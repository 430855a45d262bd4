//! Replays the committed corpus of the fuzz targets (`tests/fuzz`): inputs that once failed, and
//! examples of every format.

use std::path::Path;

#[path = "../fuzz/src"]
#[allow(
    unreachable_pub,
    missing_docs,
    reason = "the fuzz targets use it as a module of a library"
)]
mod fuzz {
    pub(crate) mod drive;
}

use fuzz::drive;

#[test]
fn every_input_of_the_corpus_passes_its_target() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (name, target) in drive::TARGETS {
        let inputs: Vec<_> = std::fs::read_dir(corpus.join(name))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert!(inputs.len() >= 4, "{name} has no corpus");
        for input in inputs {
            let bytes = std::fs::read(&input).unwrap();
            let read = std::panic::catch_unwind(|| target(&bytes));
            assert!(read.is_ok(), "{}", input.display());
        }
    }
}

#[test]
fn every_fuzz_target_has_a_program_and_a_corpus() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let names = |folder: &str| {
        let entries = std::fs::read_dir(fuzz.join(folder)).unwrap();
        let name = |entry: std::io::Result<std::fs::DirEntry>| {
            entry.unwrap().path().file_stem().unwrap().to_owned()
        };
        let mut names: Vec<_> = entries
            .map(name)
            .map(|name| name.into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    let targets: Vec<&str> = drive::TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names("corpus"), targets);
    assert_eq!(names("fuzz_targets"), targets);
}
