// Keeps a text with its history in IndexedDB.

import { fill } from 'adapter'

import { makeHistory } from '../history.js'

let parameters = new URLSearchParams(location.search)
window.filled = fill(makeHistory(Number(parameters.get('count'))), parameters)
