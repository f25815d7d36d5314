// Must be imported before anything that asks for the time.

import { workerData } from 'node:worker_threads'

let now = Date.now
Date.now = () => now() + workerData.shift
