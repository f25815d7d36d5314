// The packages of protocol 4 must find each other and not the newer ones, so
// they have a folder, and a `node_modules`, of their own.
export { Client } from '@logux/client'
