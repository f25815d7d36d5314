// The servers of the benches, each a process or a part of this one.

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

import { freePort } from '../../../tests/interop/helper/server.js'

const ROOT = resolve(import.meta.dirname, '../../..')

/** The release build of `logux`. */
function program() {
  let target = process.env.CARGO_TARGET_DIR ?? join(ROOT, 'target')
  let file = process.env.LOGUX_BIN ?? join(target, 'release/logux')
  if (!existsSync(file)) throw new Error(`no ${file}: cargo build --release -p logux-cli`)
  return file
}

/** A folder in memory, where there is one. */
const MEMORY = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()

/**
 * Starts `logux serve` with a configuration. `isInMemory`: its database is in memory, because how
 * fast the server is does not matter. `copyOf`: the folder of a server that has ended, with whose
 * database it begins.
 */
export async function startLogux({ args = [], config = '', copyOf, isInMemory = false } = {}) {
  let folder = await mkdtemp(join(isInMemory ? MEMORY : tmpdir(), 'logux-web-bench-'))
  if (copyOf) await copyFile(join(copyOf, 'logux.db'), join(folder, 'logux.db'))
  let port = await freePort()
  await writeFile(join(folder, 'logux.toml'), config)
  // Its settings are those of the bench.
  let env = { ...process.env }
  for (let name in env) if (name.startsWith('LOGUX_')) delete env[name]
  let child = spawn(
    program(),
    [
      ...['serve', '--dev', '--host', '127.0.0.1', '--port', String(port)],
      ...['--db', join(folder, 'logux.db'), '--config', join(folder, 'logux.toml'), ...args]
    ],
    { cwd: folder, env, stdio: ['ignore', 'pipe', 'inherit'] }
  )
  await listening(child, 'logux serve')
  return {
    async end() {
      await ended(child, 'SIGKILL')
      await rm(folder, { force: true, recursive: true })
    },
    folder,
    /** Ends the server, whose files stay until `end`. */
    stop: () => ended(child, 'SIGINT'),
    url: `ws://127.0.0.1:${port}`
  }
}

/** Starts a script of this folder as a server, with its port as the argument. */
export async function startScript(script, env = {}) {
  let port = await freePort()
  let child = spawn(process.execPath, [resolve(import.meta.dirname, script), String(port)], {
    env: { ...process.env, ...env, HOST: '127.0.0.1', PORT: String(port) },
    stdio: ['ignore', 'pipe', 'inherit']
  })
  await listening(child, script)
  return { end: () => ended(child, 'SIGKILL'), url: `ws://127.0.0.1:${port}` }
}

function listening(child, name) {
  process.once('exit', () => child.kill('SIGKILL'))
  return new Promise((resolve, reject) => {
    let output = ''
    child.stdout.on('data', data => {
      output += data
      if (/listening|running/i.test(output)) resolve()
    })
    child.once('exit', code => reject(new Error(`${name} has ended with ${code}: ${output}`)))
  })
}

function ended(child, signal) {
  if (child.exitCode !== null || child.signalCode !== null) return
  return new Promise(resolve => {
    child.once('exit', resolve)
    child.kill(signal)
  })
}
