import * as dwv from "dwv";

const app = new dwv.App();
app.init(new dwv.AppOptions({ "*": [new dwv.ViewConfig("layerGroup0")] }));
let said = [];
for (const name of ["load", "loadend", "error"])
  app.addEventListener(name, (event) => said.push([name, String(event.error ?? "")]));

// Loads one data set after another, the images first; ends with what was said of the last.
window.show = async (sets) => {
  for (const urls of sets) {
    said = [];
    app.loadURLs(urls);
    while (!said.some(([name]) => name === "loadend"))
      await new Promise((done) => setTimeout(done, 100));
  }
  return said.filter(([name]) => name === "error").map(([, text]) => text);
};
