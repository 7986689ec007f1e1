/** The value under `key`, made on first use. */
export function getOr<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}

export function append<K, V>(map: Map<K, V[]>, key: K, ...values: V[]): void {
  getOr(map, key, () => []).push(...values);
}
