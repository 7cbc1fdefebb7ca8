//! Layers: 45 of 67 files of the store stood in one circle of imports, so that none could be read without all others. A
//! folder knows those below it only, and of no crate do many files form a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The folders of crates, the lowest first. The files beside them stand on top.
const LAYERS: [(&str, &[&str]); 5] = [
    (
        "tsdb",
        &[
            "base", "files", "codec", "rows", "catalog", "log", "segment", "rolled", "rollup", "state", "read",
            "write", "upkeep", "open",
        ],
    ),
    (
        "query",
        &["base", "sql", "out", "exec", "functions", "tables", "direct", "availability", "rules", "asof", "gaps"],
    ),
    ("promql", &["syntax", "base", "model", "functions", "engine", "stored", "api"]),
    ("alerts", &["base", "silences", "template", "rules", "state", "ready", "notices", "live", "testing"]),
    ("web-probe", &["base", "found", "net", "http", "checks", "kinds", "rows", "run"]),
];
/// So many files may form a circle.
const CIRCLE_MAX: usize = 4;
/// So many files may lie directly in the folder `src` of a crate with layers.
const TOP_FILES_MAX: usize = 8;
/// The crates that are held to `CIRCLE_MAX`.
const CRATES: [&str; 10] =
    ["tsdb", "domain", "runner", "statistics", "ingest", "promql", "query", "alerts", "web-probe", "server"];

/// The files of a crate, by their modules (`read::scan`), each with the modules that it uses.
fn uses_of(name: &str) -> BTreeMap<String, BTreeSet<String>> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join(name).join("src");
    let mut files = BTreeMap::new();
    collect(&src, &src, &mut files);
    let modules: BTreeSet<String> = files.keys().cloned().collect();
    let uses = |(module, text): (&String, &String)| {
        let text = from_the_root(module, text);
        let own: BTreeSet<String> = paths(&text).iter().filter_map(|path| module_of(path, &modules)).collect();
        (module.clone(), own.into_iter().filter(|used| used != module).collect())
    };
    files.iter().map(uses).collect()
}

fn collect(src: &Path, folder: &Path, files: &mut BTreeMap<String, String>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(src, &path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let within = path.strip_prefix(src).unwrap().with_extension("");
            let parts: Vec<_> = within.iter().map(|part| part.to_str().unwrap()).collect();
            let module = match parts.as_slice() {
                ["lib" | "main"] => continue,
                [folders @ .., "mod"] => folders.join("::"),
                parts => parts.join("::"),
            };
            let text = std::fs::read_to_string(&path).unwrap();
            // Tests may know everything.
            files.insert(module, text.split("#[cfg(test)]\nmod tests").next().unwrap().to_owned());
        }
    }
}

/// A module's text with `super::` written out.
fn from_the_root(module: &str, text: &str) -> String {
    let above = |module: &str| module.rsplit_once("::").map_or_else(String::new, |(above, _)| format!("{above}::"));
    let (one, two) = (above(module), above(above(module).trim_end_matches("::")));
    text.replace("super::super::", &format!("crate::{two}")).replace("super::", &format!("crate::{one}"))
}

/// What stands behind `crate::`, with what is in braces told apart.
fn paths(text: &str) -> Vec<String> {
    let code: Vec<&str> = text.lines().map(|line| line.split("//").next().unwrap()).collect();
    let code = code.join(" ");
    let mut paths = Vec::new();
    for (at, start) in code.match_indices("crate::") {
        let rest = &code[at + start.len()..];
        let end = rest.find(|letter: char| !(letter.is_alphanumeric() || letter == '_' || letter == ':'));
        let (path, behind) = rest.split_at(end.unwrap_or(rest.len()));
        match behind.strip_prefix('{').and_then(|inside| inside.split_once('}')) {
            Some((inside, _)) if path.is_empty() || path.ends_with("::") => {
                let names = inside.split(',').map(|name| name.split(" as ").next().unwrap().trim());
                paths.extend(names.map(|name| format!("{path}{}", name.trim_start_matches("self"))));
            }
            _ => paths.push(path.to_owned()),
        }
    }
    paths
}

/// The module that a path leads into: the longest that it begins with.
fn module_of(path: &str, modules: &BTreeSet<String>) -> Option<String> {
    let parts: Vec<&str> = path.split("::").collect();
    (1..=parts.len()).rev().map(|count| parts[..count].join("::")).find(|module| modules.contains(module))
}

#[test]
fn a_folder_knows_only_those_below_it() {
    for (name, folders) in LAYERS {
        let place = |module: &str| {
            let folder = module.split("::").next().unwrap();
            folders.iter().position(|own| *own == folder).unwrap_or(folders.len())
        };
        let uses = uses_of(name);
        let mut wrong = Vec::new();
        for (module, used) in &uses {
            let higher = used.iter().filter(|used| place(used) > place(module));
            wrong.extend(higher.map(|used| format!("{module} uses {used}")));
        }
        assert!(wrong.is_empty(), "{name}: a lower folder names a higher one: {}", wrong.join(", "));
        let edges: usize = uses.values().map(BTreeSet::len).sum();
        assert!(edges * 2 > uses.len() * 3, "{name}: {} files and {edges} edges: the uses are not found", uses.len());
        let top = uses.keys().filter(|module| !module.contains("::") && !folders.contains(&module.as_str())).count();
        assert!(top <= TOP_FILES_MAX, "{top} files lie directly in {name}/src");
        for folder in folders {
            let text = format!("{}/{name}/src/{folder}/mod.rs", env!("CARGO_MANIFEST_DIR"));
            let text = std::fs::read_to_string(text).unwrap();
            assert!(text.starts_with("//! "), "{name}: {folder}/mod.rs says what lives there");
        }
    }
}

#[test]
fn no_more_than_four_files_form_a_circle() {
    for name in CRATES {
        let uses = uses_of(name);
        let circles = circles(&uses);
        let large: Vec<_> = circles.iter().filter(|circle| circle.len() > CIRCLE_MAX).collect();
        assert!(large.is_empty(), "{name}: {large:?}");
    }
}

/// The sets of modules that all lead to each other.
fn circles(uses: &BTreeMap<String, BTreeSet<String>>) -> Vec<BTreeSet<String>> {
    let reach: BTreeMap<&String, BTreeSet<&String>> =
        uses.keys().map(|module| (module, reached(uses, module))).collect();
    let mut circles: Vec<BTreeSet<String>> = Vec::new();
    for module in uses.keys().filter(|module| reach[module].contains(module)) {
        let circle = reach[module].iter().filter(|other| reach[*other].contains(module));
        let circle: BTreeSet<String> = circle.map(|other| (*other).clone()).collect();
        if !circles.contains(&circle) {
            circles.push(circle);
        }
    }
    circles
}

fn reached<'a>(uses: &'a BTreeMap<String, BTreeSet<String>>, module: &'a String) -> BTreeSet<&'a String> {
    let (mut reached, mut next) = (BTreeSet::new(), vec![module]);
    while let Some(module) = next.pop() {
        next.extend(uses[module].iter().filter(|used| reached.insert(*used)));
    }
    reached
}

/// The files that a line of ARCHITECTURE.md's way of a value names, from the root of the repository on. A name alone is
/// in the folder of the one before it.
fn files_of(line: &str) -> Vec<String> {
    let mut folder = String::new();
    let names = line.split([' ', ',']).filter(|word| word.ends_with(".rs") || word.ends_with('/'));
    let whole = names.map(|name| {
        if let Some((top, rest)) = name.split_once('/') {
            let path = format!("{top}/src/{rest}");
            folder = path.rsplit_once('/').map_or_else(String::new, |(folder, _)| folder.to_owned());
            return path;
        }
        format!("{folder}/{name}")
    });
    whole.collect()
}

/// Whoever reads the way of a value walks from file to file and never back: each crate is left once, and each file is
/// there.
#[test]
fn the_way_of_a_value_goes_forwards_only() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let way = text.split("## The way of a value").nth(1).unwrap().split("```").nth(1).unwrap();
    for part in way.split("\n\n") {
        let files: Vec<String> = part.lines().flat_map(files_of).collect();
        assert!(files.len() > 4, "{part}");
        let mut crates: Vec<&str> = Vec::new();
        for file in &files {
            assert!(root.join(file).exists(), "{file} is not there");
            let own = file.split('/').next().unwrap();
            if crates.last() != Some(&own) {
                assert!(!crates.contains(&own), "{file}: the way comes back to {own}");
                crates.push(own);
            }
        }
    }
}

/// A test that finds nothing would pass, too.
#[test]
fn circles_and_paths_are_found() {
    let text = "use crate::a::b::{self, C};\nuse crate::d; // crate::e\nlet x = crate::f::g();\nuse crate::{h, i::J};";
    assert_eq!(paths(text), ["a::b::", "a::b::C", "d", "f::g", "h", "i::J"]);
    let relative = "use super::c::D;\nuse super::super::e;";
    assert_eq!(paths(&from_the_root("x::a::b", relative)), ["x::a::c::D", "x::e"]);
    assert_eq!(paths(&from_the_root("a", relative)), ["c::D", "e"]);
    let modules = ["a", "a::b", "d"].map(str::to_owned).into();
    assert_eq!(module_of("a::b::C", &modules).as_deref(), Some("a::b"));
    assert_eq!(module_of("a::C", &modules).as_deref(), Some("a"));
    let edge = |from: &str, to: &[&str]| (from.to_owned(), to.iter().map(|to| (*to).to_owned()).collect());
    let uses = BTreeMap::from([edge("a", &["b"]), edge("b", &["c"]), edge("c", &["a", "d"]), edge("d", &[])]);
    assert_eq!(circles(&uses), [["a", "b", "c"].map(str::to_owned).into()]);
}
