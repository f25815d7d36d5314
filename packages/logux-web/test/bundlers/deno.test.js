// The packed package in Deno.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { serve } from '../../../../tests/interop/helper/server.js'
import { PATIENCE } from '../../../../tests/interop/helper/wait.js'
import { application } from '../packed.js'

const DENO = fileURLToPath(new URL('node_modules/.bin/deno', import.meta.url))

test('Deno', async t => {
  let app = await application()
  t.after(app.remove)
  let server = await serve({ collections: [], documents: ['notes'] })
  t.after(() => server.destroy())
  await server.start()
  let rights = ['--no-prompt', '--allow-net', '--allow-read']
  let args = ['run', ...rights, 'node.js', server.url, 'deno', 'Tea']
  let options = { cwd: app.folder, timeout: PATIENCE }
  let { stdout, stderr } = await promisify(execFile)(DENO, args, options)
  assert.equal(stdout, 'Tea\n')
  assert.equal(stderr, '')
})
