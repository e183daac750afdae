"""Each rule finds what it is there for, in small made-up files."""

from __future__ import annotations

import unittest

from tidy import documents, layers, modules, rust, unexcused, words
from tidy.words import Old


class RustTest(unittest.TestCase):
    def test_comments_strings_and_tests_are_no_code(self):
        text = """
// crate::a
/* crate::b */ const X: &str = "crate::c\\" crate::d"; const Y: &str = r#"crate::e " "#;
fn f<'a>(x: &'a str) -> char { crate::kept::g(); '"' }
#[cfg(test)]
#[path = "x.rs"]
mod tests { use crate::f; fn g() { } }
#[cfg(test)]
use crate::g;
"""
        code = rust.code(text)
        self.assertEqual([use.path for use in rust.uses(code)], [("crate", "kept", "g")])
        self.assertEqual(code.count("\n"), text.count("\n"))

    def test_groups_are_taken_apart(self):
        text = "pub use crate::{\n  a::B,\n  c::{self, d as e, F::*},\n};\nuse super::super::g;\nlet x = self::h::I::new();"
        found = [("::".join(use.path), use.line) for use in rust.uses(text)]
        self.assertEqual(found, [("crate::a::B", 1), ("crate::c", 1), ("crate::c::d", 1), ("crate::c::F", 1),
                                 ("super::super::g", 5), ("self::h::I::new", 6)])

    def test_files_of_tests_are_known_by_name_or_declaration(self):
        files = {"src/lib.rs": "#[cfg(test)]\nmod trial;\nmod real;", "src/trial.rs": "", "src/real.rs": "",
                 "src/real_tests.rs": "", "src/crash_tests/mod.rs": "", "src/tests.rs": ""}
        self.assertEqual(list(rust.without_tests(files)), ["src/lib.rs", "src/real.rs"])


class ModulesTest(unittest.TestCase):
    def cycles(self, **files: str) -> list[str]:
        paths = {f"src/{name.replace('__', '/')}.rs": text for name, text in files.items()}
        return [text for _, text in modules.cycles(paths)]

    def test_a_cycle_is_told_with_its_uses(self):
        self.assertEqual(self.cycles(a="use crate::b::B;", b="\nfn f() { crate::c::g() }", c="use super::{a, d};", d=""),
                         ["a cycle in crate: a, b, c\n  a names b in src/a.rs:1\n  b names c in src/b.rs:2\n"
                          "  c names a in src/c.rs:1"])
        self.assertEqual(self.cycles(a="use crate::b::B;", b="use crate::c::C;", c=""), [])

    def test_super_counts_from_the_file(self):
        self.assertTrue(self.cycles(a__mod="mod x;", a__x="use super::super::b::B;", b="use crate::a;"))
        self.assertFalse(self.cycles(a__mod="mod x; mod b;", a__x="use super::b::B;", a__b="", b="use crate::a;"))

    def test_the_modules_of_a_folder_count_too(self):
        [found] = self.cycles(a__mod="", a__x="use super::y::Y;", a__y="use crate::a::x::X;")
        self.assertIn("crate::a: x, y", found)

    def test_a_re_export_is_no_way_around(self):
        self.assertTrue(self.cycles(lib="pub use a::A;", a="use crate::b::B;", b="use crate::A;"))
        self.assertTrue(self.cycles(lib="pub use a::{A as Z};", a="use crate::b::B;", b="fn f(_: crate::Z) {}"))

    def test_tests_may_use_anything(self):
        self.assertFalse(self.cycles(a="use crate::b::B;", b="#[cfg(test)]\nmod tests { use crate::a::A; }",
                                     b_tests="use crate::a;"))

    def test_a_name_twice_is_told(self):
        files = dict.fromkeys(("src/a/table.rs", "src/b/mod.rs", "src/b/table.rs", "src/a/tests.rs", "src/b/tests.rs"), "")
        [(name, text)] = modules.repeated_names(files)
        self.assertEqual(name, "table")
        self.assertIn("a::table, b::table", text)


class LayersTest(unittest.TestCase):
    def test_a_pure_crate_that_is_not(self):
        text = ("use std::{fmt, fs::File};\nuse tokio::sync;\n"
                "fn f() { Instant::now(); jiff::Zoned::now(); std::env::var(\"X\") }\n"
                "#[cfg(test)]\nmod tests { use std::fs; }")
        found = list(layers.impurities({"src/a.rs": text, "src/a_tests.rs": text}))
        self.assertEqual([one.split(" in a crate")[0] for one in found],
                         ["src/a.rs:1: std::fs::File", "src/a.rs:2: tokio::sync", "src/a.rs:3: std::env::var",
                          "src/a.rs:3: Instant::now", "src/a.rs:3: Zoned::now"])

    def test_a_dependency_the_wrong_way(self):
        manifest = "[dependencies]\nspool = '1'\ntokio = '1'\nserde = '1'\n[dev-dependencies]\nspool = '1'"
        found = list(layers.wrong_dependencies("crates/wire", manifest, {"spool", "wire", "values"}))
        self.assertEqual(found, ["crates/wire may not depend on spool", "crates/wire does no I/O, and may not depend on tokio"])
        self.assertTrue(list(layers.wrong_dependencies("crates/new", "", set())))
        self.assertFalse(list(layers.wrong_dependencies("crates/wire", "[dev-dependencies]\nspool = '1'", {"spool"})))

    def test_dependencies_of_one_target_count(self):
        self.assertEqual(layers.dependencies("[target.'cfg(unix)'.dependencies]\ntokio = '1'"), {"tokio"})


class DocumentsTest(unittest.TestCase):
    def test_an_invariant_names_a_test_that_exists(self):
        files = {"tests/it/kills.rs": "fn a_kill_loses_nothing() {}"}
        page = "## Invariants\n- One\n  thing (`tests/it/kills.rs: a_kill_loses_nothing`).\n{}\n## Next\n- No test\n"
        self.assertEqual(list(documents.untested_invariants(page.format(""), files)), [])
        for line in ("- Two (`tests/it/kills.rs: gone`)", "- Two (`tests/gone.rs: a_kill_loses_nothing`)", "- Two"):
            self.assertEqual(len(list(documents.untested_invariants(page.format(line), files))), 1, line)
        self.assertTrue(list(documents.untested_invariants("", files)))

    def test_keys_of_code(self):
        text = """
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// other: no field
    pub listen: Option<a::Address>,
    #[serde(rename = "type")]
    kind: String,
    #[serde(skip)]
    seen: bool,
}
#[derive(Deserialize)]
struct Answer { status: u8 }
"""
        self.assertEqual(documents.settings_keys(text), {"listen", "type"})

    def test_keys_of_documents(self):
        page = ("## `[admin]`\n| key | meaning |\n|---|---|\n| `listen`, `admin.hosts` | `no key` |\n\n"
                "| word | is |\n|---|---|\n| `x` | |")
        self.assertEqual(documents.reference_keys(page), {"admin", "listen", "hosts"})
        file = "# Prose, with a = sign.\n# [source.house]\n# kind = 1   # b = 2\n[log]\nlevel = 2\n"
        self.assertEqual(documents.example_keys(file), {"source", "kind", "log", "level"})
        found = list(documents.different("key", {"a", "b"}, {"b", "c"}, "page"))
        self.assertEqual([name for name, _ in found], ["a", "c"])

    def test_a_metric_that_is_gone(self):
        pages = {"README.md": "`temp_ingest_lanes`, temp_ingest_put_seconds_bucket, temp_ingest_*; `temp_ingest_gone_total`"}
        found = [name for name, _ in documents.unknown_metrics(pages, {"temp_ingest_lanes", "temp_ingest_put_seconds"})]
        self.assertEqual(found, ["temp_ingest_gone_total"])

    def test_commands(self):
        code = ("#[derive(Debug, Subcommand)]\npub(super) enum Command {\n    /// Runs\n    Run(Config),\n"
                "    DeadLetter(Letters),\n}\n#[derive(Subcommand)]\nenum Letters {\n    List {\n        Not: u8,\n    },\n}\n")
        found = documents.commands(code)
        self.assertEqual(found, {"Command": {"run", "dead-letter"}, "Letters": {"list"}})
        table = "| command | does |\n|---|---|\n| `run [--config FILE]` | |\n| `dead-letter list` | |\n"
        self.assertEqual(list(documents.undocumented_commands(found, {"a.md": table})), [])
        for page, wrong in ((table.replace("run ", "start "), {"run", "start"}), (table.replace(" list", ""), {"list"}),
                            (table + "`temp-ingest walk --far`", {"walk"}), (table + "```\ntemp-ingest walk\n```", {"walk"})):
            self.assertEqual({name for name, _ in documents.undocumented_commands(found, {"a.md": page})}, wrong)

    def test_exit_codes(self):
        code = "const BAD: u8 = 78;\nfn f() { ExitCode::SUCCESS; ExitCode::from(BAD); std::process::exit(3) }"
        self.assertEqual(documents.exit_codes({"a.rs": code}), {0, 3, 78})
        self.assertEqual(documents.documented_exit_codes("Exit codes: 0 clean, 78 bad. 5 others."), {0, 78})
        self.assertEqual(documents.documented_exit_codes("| exit code | is |\n|---|---|\n| `0` | ok |\n| 78 | bad |"), {0, 78})
        self.assertIsNone(documents.documented_exit_codes("nothing"))


class WordsTest(unittest.TestCase):
    def test_a_list_of_long_files_only_shrinks(self):
        files = {"a.rs": "\n" * 401, "b.rs": "\n" * 500, "c.rs": "\n" * 450, "d.rs": "\n" * 10, "e.rs": "\n" * 485}
        found = list(words.long_files(files, {"b.rs": 490, "c.rs": 480, "d.rs": 430, "e.rs": 500}))
        self.assertEqual([one.split()[0] for one in found], ["a.rs", "b.rs", "c.rs", "d.rs"])

    def test_an_old_word_is_a_whole_part_of_a_name(self):
        files = {"src/a.rs": "fn the_board() { let dashboard; } // chance", "src/b.rs": "struct BoardError; const CHANCE: u8;",
                 "src/bar/mod.rs": "/// seed A\nfn calm() {}", "src/c.rs": "PoisonError, told()", "d.yaml": "told: held"}
        for old, expected in ((Old("board", ""), ["src/a.rs", "src/b.rs"]), (Old("Chance", ""), []),
                              (Old("bar", ""), ["src/bar/mod.rs"]), (Old("mod bar", ""), ["src/bar/mod.rs"]),
                              (Old("fn calm", ""), ["src/bar/mod.rs"]), (Old("poison", ""), []), (Old("Told", ""), []),
                              (Old("seed A", "", text=True), ["src/bar/mod.rs"]), (Old("told", ""), ["src/c.rs", "d.yaml"]),
                              (Old("held", ""), []), (Old("board", "", under="lib/"), []),
                              (Old("type BoardError", ""), ["src/b.rs"])):
            with self.subTest(old):
                self.assertEqual([path for path, text in files.items() if words.Words(path, text).use(old)], expected)

    def test_an_excuse_that_nothing_needs(self):
        self.assertEqual(unexcused([("a", "a is wrong"), ("b", "b is wrong")], {"b", "c"}, "LIST"),
                         ["a is wrong", "'c' is right by now: remove it from LIST"])

    def test_a_machine_is_told(self):
        text = "cp /wor" + "k/main/x .\nsee DESIG" + "N.md\n.github/workflows/ci.yml"
        self.assertEqual(len(list(words.foreign_words({"a": text}, {}))), 2)
        self.assertEqual(list(words.foreign_words({"a": "../share" + "d/nab"}, {"a": "../share" + "d"})), [])


if __name__ == "__main__":
    unittest.main()
