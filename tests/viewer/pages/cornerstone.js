import * as core from "@cornerstonejs/core";
import * as loader from "@cornerstonejs/dicom-image-loader";

const said = [];
core.eventTarget.addEventListener(core.Enums.Events.IMAGE_LOAD_ERROR, (event) =>
  said.push(String(event.detail.error?.message ?? event.detail.error))
);

// Shows the image at `index` of the last data set, which is all that a stack can show.
window.show = async (sets, index = 0) => {
  await core.init();
  loader.init({ maxWebWorkers: 1 });
  const engine = new core.RenderingEngine("engine");
  const element = document.getElementById("viewer");
  const type = core.Enums.ViewportType.STACK;
  engine.enableElement({ viewportId: "viewer", type, element });
  const viewport = engine.getViewport("viewer");
  await viewport.setStack(sets.at(-1).map((url) => `wadouri:${url}`), index);
  viewport.render();
  return said;
};
