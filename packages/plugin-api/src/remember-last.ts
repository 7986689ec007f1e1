/**
 * What tasks and threads of a tree have in common is one object in their images. Who makes something of it makes it once: the function
 * returned makes it anew only where one of the keys is not the one of the last call. A pass whose head and emitter are those of
 * the thread before is not compiled again by the engine.
 */
export function rememberLast<K extends readonly unknown[], V>(make: (...keys: K) => V): (...keys: K) => V {
  let last: { readonly keys: K; readonly value: V } | undefined;
  return (...keys) => {
    if (last === undefined || keys.some((key, index) => key !== last!.keys[index]))
      last = { keys, value: make(...keys) };
    return last.value;
  };
}
