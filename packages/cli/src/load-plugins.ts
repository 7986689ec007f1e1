import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Plugin } from '@crts/plugin-api';
import { builtInPlugins } from './built-in-plugins';
import { badConfig, noPluginExport, pluginBroken, pluginNotFound } from './errors';
import type { Foreign } from './failure';

export type ImportModule = (specifier: string) => Promise<unknown>;

const CONFIG_JSON = 'crts.config.json';
const CONFIG_MODULE = 'crts.config.mjs';

/**
 * The built-in plugins, those that crts.config.json or crts.config.mjs in the current directory names, and those of
 * --plugin. Names are packages as seen from the current directory, or paths.
 */
export async function loadPlugins(
  named: readonly string[],
  importModule: ImportModule,
  foreign: Foreign[] = [],
): Promise<Plugin[]> {
  const plugins = [...builtInPlugins];
  for (const name of [...(await configured(importModule)), ...named])
    plugins.push(await loadPlugin(name, importModule, foreign));
  return plugins;
}

async function configured(importModule: ImportModule): Promise<string[]> {
  if (existsSync(CONFIG_JSON)) return pluginNames(CONFIG_JSON, readJson(CONFIG_JSON));
  if (!existsSync(CONFIG_MODULE)) return [];
  let module: { default?: unknown };
  try {
    module = (await importModule(pathToFileURL(resolve(CONFIG_MODULE)).href)) as { default?: unknown };
  } catch (error) {
    throw badConfig(CONFIG_MODULE, (error as Error).message);
  }
  return pluginNames(CONFIG_MODULE, module.default);
}

function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw badConfig(file, (error as Error).message);
  }
}

function pluginNames(file: string, config: unknown): string[] {
  if (typeof config !== 'object' || config === null) throw badConfig(file, 'is no object');
  const unknown = Object.keys(config).find((key) => key !== 'plugins');
  if (unknown !== undefined) throw badConfig(file, `unknown setting "${unknown}"`);
  const { plugins = [] } = config as { plugins?: unknown };
  if (!Array.isArray(plugins) || plugins.some((name) => typeof name !== 'string'))
    throw badConfig(file, '"plugins" is no list of package names');
  return plugins;
}

async function loadPlugin(name: string, importModule: ImportModule, foreign: Foreign[]): Promise<Plugin> {
  const module = await loadModule(name, importModule, foreign);
  const plugin = (module?.plugin ?? module?.default) as Plugin | undefined;
  if (typeof plugin?.name !== 'string' || typeof plugin.register !== 'function') throw noPluginExport(name);
  return plugin;
}

type Loaded = { readonly plugin?: unknown; readonly default?: unknown } | null | undefined;

async function loadModule(name: string, importModule: ImportModule, foreign: Foreign[]): Promise<Loaded> {
  const require = createRequire(join(process.cwd(), 'crts.js'));
  let file: string;
  try {
    file = require.resolve(/^[./]/.test(name) ? resolve(name) : name);
  } catch (error) {
    throw pluginNotFound(name, error);
  }
  foreign.push({ name, directory: dirname(file) });
  try {
    try {
      return require(file);
    } catch (error) {
      // Node 20 requires no ES module.
      if ((error as NodeJS.ErrnoException).code !== 'ERR_REQUIRE_ESM') throw error;
      return (await importModule(pathToFileURL(file).href)) as Loaded;
    }
  } catch (error) {
    throw pluginBroken(name, file, error);
  }
}
