// In place of modules of Node that a browser does not have.
export class EventEmitter {}
export default {};
