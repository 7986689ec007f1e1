import type { FdHandler, TaskStateHandler, VmaHandler } from './handlers';
import type { PageStore } from './page-store';
import type { RemapHandler } from './remaps';

/** A registration token that knows the type behind it. */
export type Token<T> = symbol & { readonly __contract?: T };

// Symbol.for with the contract's major version: two installed copies of this package agree on the token.
export const FD_HANDLER: Token<FdHandler> = Symbol.for('crts/fd-handler/1');
export const VMA_HANDLER: Token<VmaHandler> = Symbol.for('crts/vma-handler/1');
export const TASK_STATE_HANDLER: Token<TaskStateHandler> = Symbol.for('crts/task-state-handler/1');
export const REMAP_HANDLER: Token<RemapHandler> = Symbol.for('crts/remap-handler/1');
export const PAGE_STORE: Token<PageStore> = Symbol.for('crts/page-store/1');

/** The part of the container that a plugin sees. tsyringe's DependencyContainer fits it. */
export interface PluginContainer {
  register<T>(token: Token<T>, provider: { useValue: T } | { useFactory: () => T }): unknown;
}

/** A plugin package exports one of these as `plugin` (or default). `register` adds implementations, nothing else. */
export interface Plugin {
  readonly name: string;
  register(container: PluginContainer): void;
}
