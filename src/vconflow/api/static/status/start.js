import { start } from "./app.js";

// The API lies beside the folder of this script, whatever path a proxy gave it.
start(document, new URL("../", import.meta.url), sessionStorage);
