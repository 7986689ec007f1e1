export { decodeMessage, encodeMessage } from './codec';
export { loadCodec } from './codecs';
export type { CodecName } from './compressed-names';
export {
  CompressedFile,
  type Compression,
  compressImages,
  decompressImages,
  isCompressed,
  openPlainPages,
  openPlainPagesLate,
  type PlainPages,
} from './compressed-set';
export { ImageError, type ImageErrorCode, type ImagePlace } from './errors';
export type * from './generated/messages';
export { ENUMS } from './generated/messages';
export {
  type ByteSource,
  bufferSource,
  detectKind,
  type ExtraPlace,
  encodeImage,
  type ImageItem,
  MESSAGE_MAX,
  readItems,
  readPlaces,
} from './image-file';
export { fileSource, ImageReader } from './image-reader';
export { ImageWriter, openDirectory } from './image-writer';
export { imageFromJson, imageToJson, type Json, parseJson, stringifyJson } from './json';
export { type ImageKind, imageFileName, imageKind, imageKinds, kindByMagic, registerKind } from './kinds';
export { enumName, enumValue, registerMessage } from './schema';
