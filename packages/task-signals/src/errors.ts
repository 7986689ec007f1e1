import { CrtsError } from '@crts/plugin-api';

export function badSignals(what: string): CrtsError {
  return new CrtsError({ code: 'CRTS_IMAGE_FIELD', plugin: 'task-signals', what, hint: 'The image is damaged.' });
}
