export { type Connection, PageServerClient } from './client';
export {
  badRange,
  COMMAND,
  decodeOwner,
  decodeRecord,
  encodeOwner,
  encodeRecord,
  entryFlags,
  PAGE,
  type PageRecord,
  RECORD_BYTES,
} from './codec';
export { badRecord, cannotConnect, connectionLost, cutOff, noSuchPages } from './errors';
export { Progress, progressText, sizeText } from './progress';
export { type PageProvider, sendFileRange, servePages } from './serve';
export { type Credentials, readCredentials, secured, type TlsFiles } from './tls';
