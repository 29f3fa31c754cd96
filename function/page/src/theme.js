// An entry of its own, run before the first paint, so that a page kept dark does not flash light.
import { readSettings } from "./settings.js";

const { theme } = readSettings();
if (theme !== "system") document.documentElement.dataset.theme = theme;
