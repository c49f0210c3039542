import { StrictMode, useEffect, useState } from 'react'
import { createRoot } from 'react-dom/client'
import { Shell } from './Shell.jsx'

function Page() {
  const [state, setState] = useState('asking')
  useEffect(() => void fetch('/login').then(({ ok }) => setState(ok ? 'in' : 'out')), [])

  async function logIn(event) {
    event.preventDefault()
    const body = JSON.stringify(Object.fromEntries(new FormData(event.target)))
    const { ok } = await fetch('/login', { method: 'POST', body })
    setState(ok ? 'in' : 'refused')
  }

  async function logOut() {
    await fetch('/logout', { method: 'POST' })
    setState('out')
  }

  if (state === 'asking') return null
  if (state !== 'in' && state !== 'hidden') {
    return (
      <form onSubmit={logIn}>
        <input name="user" placeholder="user" />
        <input name="password" type="password" placeholder="password" />
        <button>Log in</button>
        {state === 'refused' && <p role="alert">Wrong user or password.</p>}
      </form>
    )
  }
  return (
    <>
      <nav>
        <button onClick={() => setState(state === 'in' ? 'hidden' : 'in')}>Shell on and off</button>
        <button onClick={logOut}>Log out</button>
      </nav>
      {state === 'in' && <Shell />}
    </>
  )
}

createRoot(document.getElementById('root')).render(
  <StrictMode>
    <Page />
  </StrictMode>,
)
