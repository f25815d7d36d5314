// Paths in a document: JSON Pointers (RFC 6901).

let escape = key => String(key).replaceAll('~', '~0').replaceAll('/', '~1')

/** Returns the pointer of a path: a pointer, one key, or a list of keys. */
export function pointer(path) {
  if (Array.isArray(path)) return below('', path)
  return path === '' || path.startsWith('/') ? path : below('', [path])
}

/** Returns the pointer of what is at keys below another one. */
export function below(path, keys) {
  return path + keys.map(key => `/${escape(key)}`).join('')
}
