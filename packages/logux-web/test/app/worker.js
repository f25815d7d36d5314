// A worker of a bundled page.

import { open } from 'logux-web'

import { editForPages } from './edit.js'

editForPages(open)
