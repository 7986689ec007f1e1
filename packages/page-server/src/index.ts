export { type Received, type ReceiveOptions, receivePages } from './receive';
export { StoredPages } from './stored-pages';
