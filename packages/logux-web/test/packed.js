// The package as it is published, in a folder of an application.

import { execFileSync } from 'node:child_process'
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

const HERE = import.meta.dirname
const PACKAGE = join(HERE, '..')
const QUIET = ['--no-audit', '--no-fund', '--loglevel=error']

/**
 * Returns a new folder with the files of `app/` and the packed package, installed, and links to
 * packages that this one has installed.
 */
export async function application(links = []) {
  let folder = await mkdtemp(join(tmpdir(), 'logux-web-'))
  await cp(join(HERE, 'app'), folder, { recursive: true })
  await writeFile(join(folder, 'package.json'), '{"private":true,"type":"module"}')
  let pack = ['pack', PACKAGE, '--pack-destination', folder, '--json']
  let [{ filename }] = JSON.parse(execFileSync('npm', pack, { encoding: 'utf8' }))
  // Nothing else has to be installed: the packages that it can work with are optional.
  let install = ['install', `./${filename}`, '--offline', '--no-package-lock']
  execFileSync('npm', [...install, ...QUIET], { cwd: folder, stdio: ['ignore', 'ignore', 2] })
  for (let name of links) {
    let link = join(folder, 'node_modules', name)
    await mkdir(dirname(link), { recursive: true })
    await symlink(join(PACKAGE, 'node_modules', name), link)
  }
  return { folder, remove: () => rm(folder, { force: true, recursive: true }) }
}
