// Builds the page into `dist/demo/`. Writes only files that have changed, so that what is built
// from them is not built again.

import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

let path = name => fileURLToPath(new URL(name, import.meta.url))
let folder = path('../dist/demo/')

let { outputFiles } = await build({
  bundle: true,
  entryPoints: { demo: path('main.js') },
  format: 'esm',
  legalComments: 'none',
  minify: true,
  outdir: folder,
  target: 'es2022',
  write: false
})
let { outputFiles: styles } = await build({
  entryPoints: [path('demo.css')],
  minify: true,
  outdir: folder,
  write: false
})
let files = new Map([['index.html', await readFile(path('index.html'))]])
for (let { contents, path } of [...outputFiles, ...styles]) {
  files.set(path.slice(folder.length), Buffer.from(contents))
}

await mkdir(folder, { recursive: true })
for (let name of await readdir(folder)) {
  if (!files.has(name)) await rm(folder + name)
}
for (let [name, content] of files) {
  let before = await readFile(folder + name).catch(() => undefined)
  if (!before?.equals(content)) await writeFile(folder + name, content)
}
let bytes = [...files.values()].reduce((sum, { length }) => sum + length, 0)
console.log(`demo: ${Math.round(bytes / 1024)} KiB in ${files.size} files`)
