import { main } from './main';

declare const CRTS_VERSION: string;

process.exitCode = main(process.argv.slice(2), typeof CRTS_VERSION === 'string' ? CRTS_VERSION : 'development');
