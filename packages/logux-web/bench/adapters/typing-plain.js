// An editor alone.

export async function open(parameters) {
  return { extensions: [], text: await (await fetch(parameters.get('base'))).text() }
}
