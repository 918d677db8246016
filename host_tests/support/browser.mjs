// A headless Chromium with one page, for a test to look at and to click on: see javascript.py. `page` is
// puppeteer's, `errors` what the page has logged as an error or thrown.

import { createRequire } from "node:module";
import { answer } from "./answer.mjs";

const [folder] = process.argv.slice(2);
const puppeteer = createRequire(folder + "/node_modules/")("puppeteer-core");
const browser = await puppeteer.launch({
    executablePath: folder + "/chromium",
    headless: "shell",
    env: {
        ...process.env, // of which a language that is none, "C" or "POSIX", would be taken for one
        LANG: "en_US.UTF-8", LC_ALL: "en_US.UTF-8", LANGUAGE: "en-US",
        LD_LIBRARY_PATH: folder + "/lib", FONTCONFIG_PATH: folder,
    },
    args: ["--no-sandbox", "--no-zygote", "--disable-gpu", "--no-proxy-server", "--hide-scrollbars",
        "--ignore-certificate-errors", // the authorities of tests are known to nobody
    ],
});
const page = await browser.newPage();
const errors = [];
page.on("pageerror", (error) => errors.push(String(error)));
page.on("console", (message) => {
    if (message.type() === "error") errors.push(message.text());
});
await answer({ page, errors });
await browser.close();
