// Which libraries are measured: all are, unless BENCH_ONLY is a part of the names of some.

let part = process.env.BENCH_ONLY ?? ''

export let isWanted = name => name.includes(part)

/** Returns the entries of an object whose names are wanted. */
export let wanted = subjects => Object.entries(subjects).filter(([name]) => isWanted(name))
