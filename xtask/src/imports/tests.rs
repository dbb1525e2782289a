//! Small crates in memory, with what is wrong with them.

use std::collections::BTreeMap;
use std::path::Path;

use super::modules::Modules;
use super::objections;
use super::rooms::Rooms;
use super::source::Source;

/// Paths with their lines, imports first; those that are imported under another name with that name.
fn paths(text: &str) -> Vec<String> {
    let source = Source::read(text);
    let imports = source.imports.iter().map(|import| {
        let path = import.path.names.join("::");
        let alias = if path.ends_with(&import.name) { String::new() } else { format!(" as {}", import.name) };
        format!("{}{path}{alias} {}", if import.is_public { "pub " } else { "" }, import.path.line)
    });
    let mentions = source.mentions.iter().map(|path| format!("{} {}", path.names.join("::"), path.line));
    imports.chain(mentions).collect()
}

#[test]
fn trees_of_imports_are_taken_apart() {
    let text =
        "use a::b;\nuse a::{\n    b::{self, C as D},\n    e::*,\n};\npub(crate) use super::f::{g};\nuse ::h::i;\n";
    assert_eq!(paths(text), ["a::b 1", "a::b 3", "a::b::C as D 3", "a::e::* 4", "pub super::f::g 6", "::h::i 7"]);
}

#[test]
fn paths_are_found_in_code_and_nowhere_else() {
    let text = r####"//! See [`a::b`].
/* c::d /* e::f */ g::h */
pub(in crate::i) fn j<'k>(l: &'k super::m::N) -> impl O + use<'k> {
    let _ = ("p::q", r#"r::s"t::u"#, b"v::w\"", '"', '\'', b'"', '\u{22}');
    x::y::<z::A>(r#crate::B { c: 1.0 })
}
"####;
    assert_eq!(paths(text), ["super::m::N 3", "x::y 5", "z::A 5", "crate::B 5"]);
}

#[test]
fn tests_may_look_anywhere() {
    let text = "
#[cfg(test)]
mod a;
mod b;
#[cfg(all(test, unix))]
#[path = \"c.rs\"]
mod c;
#[cfg(test)]
mod tests {
    use d::e;
    fn f() { g::h(); }
}
struct I {
    #[cfg(test)]
    j: k::L,
    #[cfg(unix)]
    m: n::O,
}
#[cfg(test)]
fn p(q: r::S) -> T { u::v() }
#[derive(w::X)]
#[cfg(not(test))]
fn y() { z::a() }
";
    assert_eq!(paths(text), ["n::O 17", "z::a 23"]);
    assert_eq!(Source::read(text).modules, ["b"]);
}

const TABLE: &str = "
Dependencies point down.

| room | what it knows |
|---|---|
| `cli/` | `flags` |
| `src/lib.rs` | the rooms |
| `src/top/inner/`, `src/top.rs` | |
| `src/top/` | |
| `src/low/`, `src/side.rs` | |

| other | table |
|---|---|
| `src/none/` | |
";

/// What is wrong with a crate of these files.
fn wrong(files: &[(&str, &str)]) -> Vec<String> {
    let files: BTreeMap<&Path, &str> = files.iter().map(|(path, text)| (Path::new(*path), *text)).collect();
    let read = |path: &Path| files.get(path).map(|text| (*text).to_owned());
    objections(&Rooms::read(TABLE), &Modules::read(Path::new("src/lib.rs"), &read).unwrap())
}

/// A crate of the rooms `top` and `low`, and of these further files.
fn house<'a>(further: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let lib = "pub mod low;\npub mod side;\npub mod top;\npub use low::deep::Deep;\npub use other::reference;\n";
    let mut files = vec![("src/lib.rs", lib), ("src/side.rs", ""), ("src/low/mod.rs", "pub mod deep;")];
    files.extend(further);
    files
}

#[test]
fn the_table_ends_with_its_last_row() {
    let rooms = Rooms::read(TABLE);
    let all: Vec<&str> = rooms.all().map(|room| room.to_str().unwrap()).collect();
    assert_eq!(all, ["cli/", "src/lib.rs", "src/top/inner/", "src/top.rs", "src/top/", "src/low/", "src/side.rs"]);
    let of = |file: &'static str| rooms.of(Path::new(file)).map(|(row, room)| (row, room.to_str().unwrap().to_owned()));
    assert_eq!(of("src/top/inner/a.rs"), Some((2, "src/top/inner/".into())));
    assert_eq!(of("src/top/a.rs"), Some((3, "src/top/".into())));
    assert_eq!(of("src/topmost.rs"), None);
}

#[test]
fn what_points_down_is_allowed() {
    let top = "use crate::low::deep;\nuse crate::Deep;\nfn f() { deep::g(); crate::reference::h(); crate::side::i(); }";
    let files = house(&[("src/top/mod.rs", top), ("src/low/deep.rs", "pub struct Deep; pub fn g() {}")]);
    assert_eq!(wrong(&files), [""; 0]);
}

#[test]
fn an_arrow_up_is_found_whatever_its_spelling() {
    let message = |path: &str, to: &str| {
        format!("src/low/deep.rs:2: `{path}` is in {to}, but src/low/ may import from no other room")
    };
    for (text, path) in [
        ("\nuse crate::top::Top;", "crate::top::Top"),
        ("\nuse super::super::top;", "super::super::top"),
        ("use crate as wgr;\nfn f(t: wgr::top::Top) {}", "wgr::top::Top"),
        ("\nuse crate::{side::*, top::{Top as T}};", "crate::top::Top"),
    ] {
        let found = wrong(&house(&[("src/top/mod.rs", "pub struct Top;"), ("src/low/deep.rs", text)]));
        assert!(found.contains(&message(path, "src/top/mod.rs")), "{found:?}");
    }
    // A room passes on what another holds.
    let low = house(&[
        ("src/top/mod.rs", "pub mod a;\npub use a::A;"),
        ("src/top/a.rs", "pub struct A;"),
        ("src/low/deep.rs", "\nuse crate::top::A;"),
    ]);
    assert_eq!(wrong(&low), [message("crate::top::A", "src/top/a.rs")]);
    // Rooms of one row know nothing of each other.
    let side = house(&[("src/top/mod.rs", ""), ("src/low/deep.rs", "\nuse crate::side::S;")]);
    assert_eq!(wrong(&side), [message("crate::side::S", "src/side.rs")]);
}

#[test]
fn files_that_import_each_other_are_found() {
    let top = "mod a;\nmod b;\nmod c;\npub use b::B;";
    let files = |c: &'static str| {
        house(&[
            ("src/top/mod.rs", top),
            ("src/top/a.rs", "use super::B;\npub struct A;"),
            ("src/top/b.rs", "\npub struct B(super::c::C);"),
            ("src/top/c.rs", c),
            ("src/low/deep.rs", "pub struct Deep;"),
        ])
    };
    assert_eq!(wrong(&files("pub struct C;\n#[cfg(test)]\nmod tests { use super::super::a::A; }")), [""; 0]);
    assert_eq!(
        wrong(&files("use super::a;\npub struct C(a::A);")),
        ["files import each other in a circle:\n  src/top/a.rs:1: `super::B` is in src/top/b.rs\n  \
          src/top/b.rs:2: `super::c::C` is in src/top/c.rs\n  src/top/c.rs:1: `super::a` is in src/top/a.rs"]
    );
}

#[test]
fn a_file_outside_all_rooms_is_found() {
    let files = [("src/lib.rs", "mod attic;"), ("src/attic.rs", "")];
    assert_eq!(wrong(&files), ["src/attic.rs: is in no room of the table in docs/ARCHITECTURE.md"]);
}
