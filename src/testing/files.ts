import { mkdir, rm, rmdir, stat, writeFile } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { problemOf, type RestAnswer } from './answers.ts'
import { baseFolder } from './commands.ts'
import type { Behaviour } from './releases.ts'
import type { TestRequest } from './requests.ts'

/** Answers an upload (PROTOCOL 9.18). */
export async function upload(
  behaviour: Behaviour,
  { directory }: TestRequest['query'],
  contentType: string,
  body: Buffer,
): Promise<RestAnswer> {
  const form = await new Response(new Uint8Array(body), { headers: { 'content-type': contentType } })
    .formData()
    .catch(() => undefined)
  const file = form?.get('file') ?? null
  const problems = [
    ...(directory === undefined ? [problemOf('missing', ['query', 'directory'])] : []),
    ...(file === null && behaviour.groupCommands ? [problemOf('missing', ['body', 'file'])] : []),
    ...(typeof file === 'string' ? [problemOf('value_error', ['body', 'file'], file)] : []),
  ]
  if (problems.length > 0) return [422, { detail: problems }]
  if (file === null || typeof file === 'string') return [400, { detail: "Provide either 'url' or a file upload." }]
  const folder = resolve(baseFolder(behaviour), directory ?? '')
  // 0.8.1 takes the names as they are, with the folders in them.
  const path = behaviour.groupCommands ? join(folder, basename(file.name)) : `${directory}/${file.name}`
  try {
    await mkdir(folder, { recursive: true })
    await writeFile(path, new Uint8Array(await file.arrayBuffer()))
  } catch (error) {
    return [400, { detail: String(error) }]
  }
  return [200, { path, size: file.size }]
}

/** Answers a request to delete a file, or a folder that is empty. The real servers delete full folders, too. */
export async function removeFile(behaviour: Behaviour, { path }: TestRequest['query']): Promise<RestAnswer> {
  if (path === undefined) return [422, { detail: [problemOf('missing', ['query', 'path'])] }]
  const target = resolve(baseFolder(behaviour), path)
  const found = await stat(target).catch(() => undefined)
  if (!found) return [404, { detail: 'Path not found' }]
  try {
    await (found.isDirectory() ? rmdir(target) : rm(target))
  } catch (error) {
    return [400, { detail: String(error) }]
  }
  return [200, { path: target, type: found.isDirectory() ? 'directory' : 'file' }]
}
