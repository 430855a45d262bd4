// Fetches the free times, and shows how long the answer took and what the edge says about it.
const lista = document.getElementById("turnos");
const inicio = performance.now();
fetch(`/api/v1/disponibilidad/${lista.dataset.barberia}`)
  .then(async (respuesta) => {
    const datos = await respuesta.json();
    const lapso = Math.round(performance.now() - inicio);
    document.getElementById("respuesta").textContent = `(${lapso} ms; ${respuesta.headers.get("cache-status") ?? "sin caché"})`;
    lista.replaceChildren(
      ...datos.turnos.map(({ hora, barbero }) => {
        const punto = document.createElement("li");
        punto.textContent = `${hora} con ${barbero}`;
        return punto;
      }),
    );
  })
  .catch(() => lista.replaceChildren("No pudimos cargar los turnos."));
