// Bytes in IndexedDB.

function request(asked) {
  return new Promise((resolve, reject) => {
    asked.onsuccess = () => resolve(asked.result)
    asked.onerror = () => reject(asked.error)
  })
}

async function store(mode) {
  let opening = indexedDB.open('bytes', 1)
  opening.onupgradeneeded = () => opening.result.createObjectStore('bytes')
  return (await request(opening)).transaction('bytes', mode).objectStore('bytes')
}

export let readBytes = async () => request((await store('readonly')).get('text'))

export let writeBytes = async bytes => request((await store('readwrite')).put(bytes, 'text'))
