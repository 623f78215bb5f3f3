#!/usr/bin/env bash
# Re-creates app/graphql/graphiql/vendor/ and LICENSES.txt from the npm versions pinned in package-lock.json.
#   scripts/vendor_graphiql.sh            the pinned versions, bit for bit
#   scripts/vendor_graphiql.sh --update   first re-resolves package-lock.json from package.json
# Needs node and npm; serving the page needs neither.
set -euo pipefail

assets="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/app/graphql/graphiql"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

cp "$assets/package.json" "$work/"
cd "$work"
if [[ "${1:-}" == "--update" ]]; then
  # Without `resolved` the lock file names no registry: whoever installs uses their own, and `integrity` still holds.
  npm install --package-lock-only --ignore-scripts --no-audit --no-fund --omit-lockfile-registry-resolved=true
  cp package-lock.json "$assets/"
elif [[ $# -gt 0 ]]; then
  echo "usage: $0 [--update]" >&2
  exit 2
fi
cp "$assets/package-lock.json" "$work/"
npm ci --ignore-scripts --no-audit --no-fund --omit-lockfile-registry-resolved=true

ASSETS="$assets" node - <<'JS'
const fs = require("node:fs");
const path = require("node:path");

const assets = process.env.ASSETS;
const vendor = path.join(assets, "vendor");
fs.rmSync(vendor, { recursive: true, force: true });
fs.mkdirSync(vendor, { recursive: true });

const read = (file) => fs.readFileSync(path.join("node_modules", file), "utf8");
const write = (file, text) => fs.writeFileSync(path.join(vendor, file), text.trimEnd() + "\n");

write("react.production.min.js", read("react/umd/react.production.min.js"));
write("react-dom.production.min.js", read("react-dom/umd/react-dom.production.min.js"));
// The source map is four times the script and is not vendored; developer tools would ask for it.
write("graphiql.min.js", read("graphiql/graphiql.min.js").replace(/\n\/\/# sourceMappingURL=.*\s*$/, ""));
// Nine tenths of the style sheet are embedded web fonts; boot.css names the system's fonts instead.
write("graphiql.min.css", read("graphiql/graphiql.min.css").replace(/@font-face\s*\{[^}]*\}/g, ""));

// The source map says which packages are inside the bundle.
const bundled = new Set(["react", "react-dom", "scheduler"]);
for (const source of JSON.parse(read("graphiql/graphiql.min.js.map")).sources) {
  const at = source.lastIndexOf("node_modules/");
  if (at >= 0) {
    const parts = source.slice(at + "node_modules/".length).split("/");
    bundled.add(parts[0].startsWith("@") ? `${parts[0]}/${parts[1]}` : parts[0]);
  } else if (source.startsWith("../../")) {
    // Siblings of graphiql in its own repository: ../../graphiql-react is published as @graphiql/react.
    const sibling = source.split("/")[2];
    bundled.add(sibling.replace(/^graphiql-/, "@graphiql/"));
  } else {
    bundled.add("graphiql");
  }
}

const byText = new Map();
for (const name of [...bundled].sort()) {
  const manifest = JSON.parse(read(`${name}/package.json`));
  const file = fs.readdirSync(path.join("node_modules", name)).find((f) => /^licen[cs]e/i.test(f));
  if (!file && manifest.license !== "MIT") throw new Error(`${name} (${manifest.license}) comes without a licence text`);
  const text = file
    ? read(`${name}/${file}`).replace(/\r\n/g, "\n").trim()
    : "MIT License, as its package.json says; it ships no licence text of its own. The MIT terms are those of graphiql.";
  if (!byText.has(text)) byText.set(text, []);
  const author = manifest.author?.name ?? manifest.author;
  byText.get(text).push(`${name} (${manifest.license})${!file && author ? `, by ${author}` : ""}`);
}
const sections = [...byText].map(([text, names]) => `${names.join("\n")}\n${"-".repeat(72)}\n${text}\n`);
const head =
  "The files in vendor/ are built by their authors from the packages below, each under the licence that follows it.\n" +
  "Written by scripts/vendor_graphiql.sh.\n";
fs.writeFileSync(path.join(assets, "LICENSES.txt"), [head, ...sections].join(`\n${"=".repeat(72)}\n`));
console.log(`${bundled.size} packages in ${vendor}`);
JS
