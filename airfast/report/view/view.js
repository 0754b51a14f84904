"use strict";
// Draws what view.py wrote into #data: clips side by side on one clock, each a skeleton and its probabilities.
(() => {
  const { clips, classes } = JSON.parse(document.getElementById("data").textContent);
  const slider = document.getElementById("time");
  const label = document.getElementById("now");
  const button = document.getElementById("play");
  const speed = document.getElementById("speed");
  const length = Math.max(...clips.map((clip) => (clip.frames.length - 1) / clip.fps));
  const UP = new THREE.Vector3(0, 1, 0);
  let now = 0;
  let playing = false;
  let last = null;

  function scene(clip, canvas) {
    const renderer = new THREE.WebGLRenderer({ canvas, antialias: true, preserveDrawingBuffer: true });
    renderer.setClearColor(0x4c4c54); // neither the palest nor the deepest red is lost on it
    const world = new THREE.Scene();
    const camera = new THREE.PerspectiveCamera(40, 1, 0.01, 1000);
    world.add(new THREE.AmbientLight(0xffffff, 1.6));
    const light = new THREE.DirectionalLight(0xffffff, 1.8);
    light.position.set(1, 3, 2);
    world.add(light);
    const { middle, floor, size } = clip;
    const grid = new THREE.GridHelper(Math.ceil(4 * size), Math.ceil(4 * size), 0x8a8a94, 0x62626b);
    grid.position.set(middle[0], floor, middle[2]);
    world.add(grid);
    const materials = clip.colours.map((color) => new THREE.MeshLambertMaterial({ color }));
    const ball = new THREE.SphereGeometry(0.014 * size, 16, 12);
    const rod = new THREE.CylinderGeometry(0.012 * size, 0.012 * size, 1, 12);
    const joints = clip.parts.map((part) => new THREE.Mesh(ball, materials[part]));
    const bones = clip.bones.map(([child]) => new THREE.Mesh(rod, materials[clip.parts[child]]));
    world.add(...joints, ...bones);
    camera.position.set(middle[0] + 0.9 * size, middle[1] + 0.5 * size, middle[2] + 2 * size);
    const controls = new THREE.OrbitControls(camera, canvas);
    controls.target.set(...middle);
    controls.update();
    const from = new THREE.Vector3();
    const to = new THREE.Vector3();

    function fit() {
      const { clientWidth, clientHeight } = canvas;
      renderer.setPixelRatio(Math.min(2, devicePixelRatio));
      renderer.setSize(clientWidth, clientHeight, false);
      camera.aspect = clientWidth / clientHeight;
      camera.updateProjectionMatrix();
    }

    function draw(seconds) {
      const place = Math.min(seconds * clip.fps, clip.frames.length - 1);
      const before = Math.floor(place);
      const after = Math.min(before + 1, clip.frames.length - 1);
      const share = place - before;
      joints.forEach((joint, index) => {
        const [a, b] = [clip.frames[before], clip.frames[after]];
        const at = [0, 1, 2].map((axis) => a[3 * index + axis] * (1 - share) + b[3 * index + axis] * share);
        joint.position.set(at[0] / 1000, at[1] / 1000, at[2] / 1000); // millimetres
      });
      bones.forEach((bone, index) => {
        const [child, parent] = clip.bones[index];
        from.copy(joints[parent].position);
        to.copy(joints[child].position);
        bone.position.addVectors(from, to).multiplyScalar(0.5);
        to.sub(from);
        bone.scale.set(1, Math.max(to.length(), 1e-6), 1);
        bone.quaternion.setFromUnitVectors(UP, to.length() > 1e-6 ? to.normalize() : UP);
      });
      renderer.render(world, camera);
    }

    controls.addEventListener("change", () => draw(now));
    new ResizeObserver(() => { fit(); draw(now); }).observe(canvas);
    fit();
    return draw;
  }

  function chart(clip, svg, readout) {
    if (!clip.windows) return () => {};
    const x = (seconds) => (100 * seconds) / length;
    const make = (tag, attributes) => {
      const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
      Object.entries(attributes).forEach(([name, value]) => made.setAttribute(name, value));
      svg.append(made);
      return made;
    };
    [0, 50, 100].forEach((y) => make("line", { x1: 0, x2: 100, y1: y, y2: y, class: "grid" }));
    classes.forEach((kind, index) => {
      const points = clip.windows.map((each) => `${x(each.middle)},${100 - 100 * each.probability[index]}`);
      const stroke = { points: points.join(" "), class: "line", stroke: kind.colour, "stroke-dasharray": kind.dash };
      make("polyline", stroke);
      if (points.length === 1) {
        make("circle", { cx: x(clip.windows[0].middle), cy: points[0].split(",")[1], r: 1.5, fill: kind.colour });
      }
    });
    const cursor = make("line", { y1: 0, y2: 100, class: "cursor" });
    svg.addEventListener("click", (event) => {
      const box = svg.getBoundingClientRect();
      seek((length * (event.clientX - box.left)) / box.width);
    });
    return (seconds) => {
      cursor.setAttribute("x1", x(seconds));
      cursor.setAttribute("x2", x(seconds));
      const near = clip.windows.reduce((best, each) =>
        Math.abs(each.middle - seconds) < Math.abs(best.middle - seconds) ? each : best);
      const top = near.probability.indexOf(Math.max(...near.probability));
      readout.textContent = `${classes[top].name} ${near.probability[top].toFixed(2)}`;
    };
  }

  const drawings = [];
  clips.forEach((clip, index) => {
    const panel = document.getElementById(`clip${index}`);
    try {
      drawings.push(scene(clip, panel.querySelector("canvas")));
    } catch (error) {
      panel.querySelector(".stage").textContent = `This browser draws nothing in three dimensions (${error.message}).`;
    }
    drawings.push(chart(clip, panel.querySelector("svg"), panel.querySelector("output")));
  });

  function seek(seconds) {
    now = Math.min(Math.max(seconds, 0), length);
    slider.value = length ? Math.round((1000 * now) / length) : 0;
    label.textContent = `${now.toFixed(2)} s of ${length.toFixed(2)} s`;
    drawings.forEach((draw) => draw(now));
  }

  function play(on) {
    playing = on;
    last = null;
    button.textContent = on ? "Pause" : "Play";
    if (on) requestAnimationFrame(step);
  }

  function step(stamp) {
    if (!playing) return;
    if (last !== null) seek(now >= length ? 0 : now + (Number(speed.value) * (stamp - last)) / 1000);
    last = stamp;
    requestAnimationFrame(step);
  }

  button.addEventListener("click", () => play(!playing));
  slider.addEventListener("input", () => seek((length * slider.value) / 1000));
  document.addEventListener("keydown", (event) => {
    if (["INPUT", "SELECT", "BUTTON"].includes(event.target.tagName)) return;
    if (event.key === " ") { event.preventDefault(); play(!playing); }
    if (event.key === "ArrowRight") seek(now + 1 / clips[0].fps);
    if (event.key === "ArrowLeft") seek(now - 1 / clips[0].fps);
  });
  // view.html#t=1.5 opens at that second, view.html#play moves.
  const wish = new URLSearchParams(location.hash.slice(1));
  seek(Number(wish.get("t")) || 0);
  if (wish.has("play")) play(true);
  document.documentElement.dataset.ready = "true";
})();
