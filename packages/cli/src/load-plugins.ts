import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import type { Plugin } from '@crts/plugin-api';
import { builtInPlugins } from './built-in-plugins';
import { badValue, noPluginExport, pluginNotFound } from './errors';

const CONFIG = 'crts.config.json';

/** The built-in plugins, those that crts.config.json in the current directory names, and those of --plugin. */
export function loadPlugins(named: readonly string[]): Plugin[] {
  return [...builtInPlugins, ...configured(), ...named.map(loadPlugin)];
}

function configured(): Plugin[] {
  if (!existsSync(CONFIG)) return [];
  let config: { plugins?: unknown };
  try {
    config = JSON.parse(readFileSync(CONFIG, 'utf8'));
  } catch (error) {
    throw badValue(CONFIG, (error as Error).message, 'JSON');
  }
  const names = config.plugins ?? [];
  if (!Array.isArray(names) || names.some((name) => typeof name !== 'string'))
    throw badValue(CONFIG, 'plugins', 'a list of package names');
  return names.map(loadPlugin);
}

/** A package of the current directory's node_modules, or a path. */
function loadPlugin(name: string): Plugin {
  const require = createRequire(join(process.cwd(), 'crts.js'));
  let module: { plugin?: Plugin; default?: Plugin };
  try {
    module = require(/^[./]/.test(name) ? resolve(name) : name);
  } catch (error) {
    throw pluginNotFound(name, error);
  }
  const plugin = module.plugin ?? module.default;
  if (typeof plugin?.name !== 'string' || typeof plugin.register !== 'function') throw noPluginExport(name);
  return plugin;
}
