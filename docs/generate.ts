// Writes the documents that are made from code. Run by `npm run generate`.
import { writeFileSync } from "node:fs";
import { configurationReference } from "../src/config/reference.ts";

writeFileSync(new URL("configuration.md", import.meta.url), configurationReference());
