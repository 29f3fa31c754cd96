// The page's entry.
import { render } from "preact";

import { app, applyLook, store } from "./app.js";
import { start } from "./chats.js";
import { listen } from "./keys.js";
import { App } from "./view/app.jsx";

applyLook(store.get().settings);
start();
listen();
render(<App />, document.getElementById("page"));
app.loadModels();
