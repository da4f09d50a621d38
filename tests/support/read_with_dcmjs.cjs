// Reads a SEG or SR with dcmjs and prints what it found as JSON; the voxels of a SEG go,
// one byte each, into the file named second. Numbers are those of tracked groups.
const fs = require("fs");
const dcmjs = require("dcmjs");

const [path, voxels] = process.argv.slice(2);
const { DicomMessage, DicomMetaDictionary, BitArray } = dcmjs.data;
const bytes = fs.readFileSync(path);
const start = bytes.byteOffset;
const file = DicomMessage.readFile(
  bytes.buffer.slice(start, start + bytes.byteLength)
);
const dataset = DicomMetaDictionary.naturalizeDataset(file.dict);
const list = (value) => (value === undefined ? [] : [].concat(value));
const first = (value) => list(value)[0];

function numbers(item, tracking, found) {
  const children = list(item.ContentSequence);
  for (const child of children) {
    const concept = first(child.ConceptNameCodeSequence) || {};
    if (concept.CodeValue === "112040") tracking = child.UID;
  }
  for (const child of children) {
    if (child.ValueType === "NUM") {
      if (tracking === null) continue;
      const measured = first(child.MeasuredValueSequence);
      found.push({
        tracking,
        concept: first(child.ConceptNameCodeSequence).CodeValue,
        value: Number(first(measured.NumericValue)),
        unit: first(measured.MeasurementUnitsCodeSequence).CodeValue,
      });
    } else {
      numbers(child, tracking, found);
    }
  }
  return found;
}

const result = {
  patient_name: list(dataset.PatientName).map((name) => ({ ...name })),
  numbers: numbers(dataset, null, []),
  segments: list(dataset.SegmentSequence).map((segment) => ({
    number: segment.SegmentNumber,
    label: segment.SegmentLabel,
  })),
  frames: list(dataset.PerFrameFunctionalGroupsSequence).map((frame) => ({
    segment: (first(frame.SegmentIdentificationSequence) || {})
      .ReferencedSegmentNumber,
    position: first(frame.PlanePositionSequence).ImagePositionPatient,
  })),
};
if (voxels) {
  const pixels = first(dataset.PixelData);
  fs.writeFileSync(
    voxels,
    dataset.BitsAllocated === 1 ? BitArray.unpack(pixels) : new Uint8Array(pixels)
  );
}
process.stdout.write(JSON.stringify(result));
