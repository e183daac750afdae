"""The house is in order: the rules of tests/tidy/ over every file. tests/tidy/test_rules.py shows that each can fail."""

from __future__ import annotations

import re
import unittest

from tidy import documents, layers, modules, not_yet, repository, rust, unexcused, words
from tidy.vocabulary import VOCABULARY

FILES = repository.texts()
CRATES = repository.crates(FILES)
DOCUMENTS = repository.documents(FILES)
DAEMON = repository.sources(FILES, ".")
# They hold the old words and the made-up mistakes.
OWN = "tests/tidy/"


class Rules(unittest.TestCase):
    def none(self, problems):
        """Fails with all of them, not with the first."""
        found = list(problems)
        if found:
            self.fail("\n" + "\n".join(found))


class Crates(Rules):
    def test_no_modules_form_a_cycle(self):
        for crate in CRATES:
            with self.subTest(crate):
                found = modules.cycles(repository.sources(FILES, crate))
                self.none(unexcused(found, not_yet.CYCLES.get(crate, set()), "not_yet.CYCLES"))

    def test_no_two_modules_of_a_crate_have_the_same_name(self):
        for crate in CRATES:
            with self.subTest(crate):
                found = modules.repeated_names(repository.sources(FILES, crate))
                self.none(unexcused(found, not_yet.MODULE_NAMES.get(crate, set()), "not_yet.MODULE_NAMES"))

    def test_pure_crates_touch_nothing(self):
        for crate in layers.PURE:
            with self.subTest(crate):
                self.assertIn(crate, CRATES)
                self.none(layers.impurities(repository.sources(FILES, crate)))

    def test_dependencies_point_one_way(self):
        ours = layers.own_crates(FILES["Cargo.toml"])
        self.assertEqual(len(ours), len(CRATES) - 2, "all but the daemon and the functions are named in the workspace")
        for crate in CRATES:
            with self.subTest(crate):
                manifest = FILES["Cargo.toml" if crate == "." else f"{crate}/Cargo.toml"]
                self.none(layers.wrong_dependencies(crate, manifest, ours))


class Documented(Rules):
    def test_every_invariant_names_a_test(self):
        found = documents.untested_invariants(FILES["ARCHITECTURE.md"], FILES)
        self.none(unexcused(found, not_yet.INVARIANTS, "not_yet.INVARIANTS"))

    def test_every_key_of_the_configuration(self):
        keys = set().union(*(documents.settings_keys(text) for path, text in FILES.items()
                             if path.endswith(".rs") and path.startswith(documents.CONFIGURED)))
        self.assertGreater(len(keys), 100)
        reference, example = FILES["docs/configuration.md"], FILES["config/config.toml"]
        self.none(text for _, text in documents.different("key", keys, documents.reference_keys(reference),
                                                          "docs/configuration.md"))
        found = documents.different("key", keys, documents.example_keys(example), "config/config.toml")
        self.none(unexcused(found, not_yet.EXAMPLE_KEYS, "not_yet.EXAMPLE_KEYS"))

    def test_every_metric_that_is_mentioned(self):
        known = {name for path, text in DAEMON.items() if path.endswith("metrics.rs")
                 for name in re.findall(r'"(temp_ingest_\w+)"', rust.without_comments(text))}
        self.assertGreater(len(known), 20)
        self.none(text for _, text in documents.unknown_metrics(DOCUMENTS, known))

    def test_every_command(self):
        found = {name: variants for path, text in DAEMON.items() if path.startswith("src/cli")
                 for name, variants in documents.commands(text).items()}
        self.assertGreater(len(found.get("Command", ())), 10)
        self.none(text for _, text in documents.undocumented_commands(found, DOCUMENTS))

    def test_every_exit_code(self):
        there = documents.exit_codes(DAEMON)
        self.assertIn(78, there)
        help_text = {path: text for path, text in DAEMON.items() if path.startswith("src/cli")}
        for places in (DOCUMENTS, help_text):
            listed = {path: codes for path, text in places.items() if (codes := documents.documented_exit_codes(text))}
            self.assertTrue(listed, "nothing lists the exit codes")
            for path, codes in listed.items():
                self.assertEqual(codes, there, path)


class Words(Rules):
    def test_no_file_is_long(self):
        self.none(words.long_files(repository.select(FILES, "*.rs", "*.py"), not_yet.LONG_FILES))

    def test_old_words_are_gone(self):
        read = repository.select(FILES, "*.rs", "*.toml", "*.yaml", "*.py") | DOCUMENTS
        read = {path: text for path, text in read.items() if not path.startswith(OWN)}
        self.none(unexcused(words.old_words(read, VOCABULARY), not_yet.OLD_WORDS, "not_yet.OLD_WORDS"))

    def test_nothing_is_true_of_one_machine_only(self):
        self.none(words.foreign_words(FILES, words.ALLOWED))


if __name__ == "__main__":
    unittest.main()
