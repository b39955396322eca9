// Copies what the console needs of its npm packages to assets/vendor, whence the Go binary embeds it.
import { copyFileSync, mkdirSync } from "node:fs";

const files = {
  "htmx.org/dist/htmx.min.js": "htmx.min.js",
  "htmx.org/LICENSE": "htmx.LICENSE.txt",
  "@fontsource-variable/inter/files/inter-latin-wght-normal.woff2": "inter-latin.woff2",
  "@fontsource-variable/inter/files/inter-latin-ext-wght-normal.woff2": "inter-latin-ext.woff2",
  "@fontsource-variable/inter/LICENSE": "inter.LICENSE.txt",
};

const here = new URL(".", import.meta.url);
mkdirSync(new URL("assets/vendor/", here), { recursive: true });
for (const [from, to] of Object.entries(files)) {
  copyFileSync(new URL(`node_modules/${from}`, here), new URL(`assets/vendor/${to}`, here));
}
