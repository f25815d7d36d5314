// A worker without a bundler, for which the import map of its page does not count.

import { editForPages } from './edit.js'
import { open } from './node_modules/logux-web/src/index.js'

editForPages(open)
